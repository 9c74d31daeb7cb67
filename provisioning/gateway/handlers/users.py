"""The routes that manage users, and show the audit log: an admin's."""

from __future__ import annotations

from provisioning.gateway.access import audit, documents, orders
from provisioning.gateway.handlers.acting import by
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services
from provisioning.gateway.web import body
from provisioning.gateway.web.exchange import Exchange


async def create(services: Services, exchange: Exchange) -> None:
    """Make a user."""
    order = await body.read(exchange, orders.NewUser)
    await body.send(exchange, documents.user(await services.reception.people.create(by(exchange), order)), 201)


async def page(services: Services, exchange: Exchange) -> None:
    """List users, newest first."""
    users = [(user.name, documents.user(user)) for user in await services.reception.people.every()]
    await exchange.send_json(body.page(users, exchange.query))


async def show(services: Services, exchange: Exchange) -> None:
    """Show one user."""
    await body.send(exchange, documents.user(await services.reception.people.show(exchange.params["name"])))


async def update(services: Services, exchange: Exchange) -> None:
    """Change a user's role, password, labels or limits, or disable it."""
    change = await body.read(exchange, orders.UserChange)
    user = await services.reception.people.update(by(exchange), exchange.params["name"], change)
    await body.send(exchange, documents.user(user))


async def delete(services: Services, exchange: Exchange) -> None:
    """End a user, its logins and its keys; its jobs, files and usage stay."""
    await services.reception.people.delete(by(exchange), exchange.params["name"])
    await exchange.send(204, b"", [])


async def audit_page(services: Services, exchange: Exchange) -> None:
    """Show what admins did, newest first; `target` names a key or a user."""
    query, size = exchange.query, body.page_size(exchange.query)
    cursor = query.get("cursor", "")
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise Problem(Code.INVALID_REQUEST, "cursor: one that this list gave.", members=fault("cursor", "unknown"))
    before = int(cursor) if cursor else None
    entries = await audit.page(services.keys.database, before=before, limit=size + 1, target=query.get("target"))
    shown = [documents.audit_entry(entry).model_dump(mode="json") for entry in entries[:size]]
    next_cursor = str(entries[size - 1].sequence) if len(entries) > size else None
    await exchange.send_json({"items": shown, "next_cursor": next_cursor})
