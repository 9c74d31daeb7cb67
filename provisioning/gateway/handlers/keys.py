"""The routes that manage keys."""

from __future__ import annotations

from provisioning.gateway.access import documents, orders
from provisioning.gateway.access.records import KeyRecord, KeyState
from provisioning.gateway.handlers.acting import by
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services
from provisioning.gateway.web import body
from provisioning.gateway.web.exchange import Exchange


async def create(services: Services, exchange: Exchange) -> None:
    """Issue a key and show its secret, once."""
    order = await body.read(exchange, orders.NewKey)
    token, record = await services.reception.issuing.create(by(exchange), order)
    await body.send(exchange, _issued(services, token, record), 201)


async def page(services: Services, exchange: Exchange) -> None:
    """List keys, newest first: the caller's user's, or for an admin everybody's."""
    query = exchange.query
    state = _state(query["state"]) if "state" in query else None
    records = await services.reception.issuing.every(exchange.who, query.get("owner"), state)
    await exchange.send_json(body.page([(record.id, _shown(services, record)) for record in records], query))


async def show(services: Services, exchange: Exchange) -> None:
    """Show one key."""
    record = await services.reception.issuing.show(exchange.who, exchange.params["id"])
    await body.send(exchange, _shown(services, record))


async def update(services: Services, exchange: Exchange) -> None:
    """Change a key's name, labels, scopes, limits, end or owner."""
    change = await body.read(exchange, orders.KeyChange)
    record = await services.reception.issuing.update(by(exchange), exchange.params["id"], change)
    await body.send(exchange, _shown(services, record))


async def rotate(services: Services, exchange: Exchange) -> None:
    """Give a key a new secret and show it, once; the former one goes on for a while."""
    order = await body.read(exchange, orders.Rotation)
    issuing = services.reception.issuing
    token, record = await issuing.rotate(by(exchange), exchange.params["id"], order.overlap_seconds)
    await body.send(exchange, _issued(services, token, record))


async def revoke(services: Services, exchange: Exchange) -> None:
    """End a key at once."""
    record = await services.reception.issuing.revoke(by(exchange), exchange.params["id"])
    await body.send(exchange, _shown(services, record))


def _state(text: str) -> KeyState:
    try:
        return KeyState(text)
    except ValueError:
        message = f"state: one of {', '.join(KeyState)}."
        raise Problem(Code.INVALID_REQUEST, message, members=fault("state", "unknown")) from None


def _shown(services: Services, record: KeyRecord) -> documents.Key:
    return documents.Key(**documents.key_members(record, services.clock.now_ms()))


def _issued(services: Services, token: str, record: KeyRecord) -> documents.IssuedKey:
    return documents.IssuedKey(key=token, **documents.key_members(record, services.clock.now_ms()))
