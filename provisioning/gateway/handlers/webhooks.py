"""Managing webhooks, and looking at what became of their messages."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.access.audit import Act
from provisioning.gateway.handlers.acting import on_anothers
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.v2.documents import moment
from provisioning.gateway.web.exchange import Exchange
from provisioning.gateway.webhooks.kinds import CHOICE
from provisioning.gateway.webhooks.records import Attempt, Delivery, Endpoint

JOBS = "jobs"
"""Names the endpoint without an address: the one that signs for the webhook_url of single jobs."""

MAX_BODY_BYTES = 64 * 1024
MAX_DESCRIPTION = 200
MAX_PAGE = 100
OVERLAP_HOURS = 24
MAX_OVERLAP_HOURS = 168
HOUR_MS = 3_600_000


async def create(services: Services, exchange: Exchange) -> None:
    """Keep a new endpoint; the answer is the only one that holds its secret."""
    body = await _read(exchange, {"url", "events", "description"})
    url = await services.webhooks.allowed(_text(body, "url", most=2048))
    if not url:
        raise _wrong("url", "a text")
    endpoint = await services.webhooks.endpoints.create(
        exchange.who.owner, url, _events(body.get("events")), _text(body, "description", most=MAX_DESCRIPTION) or ""
    )
    await exchange.send_json(_endpoint(services, endpoint) | {"secret": endpoint.secret}, status=201)


async def page(services: Services, exchange: Exchange) -> None:
    """Answer with the caller's endpoints, oldest first."""
    found = await services.webhooks.endpoints.every(visible_owner(exchange.who))
    await exchange.send_json({"webhooks": [_endpoint(services, endpoint) for endpoint in found]})


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with an endpoint."""
    await exchange.send_json(_endpoint(services, await _find(services, exchange)))


async def change(services: Services, exchange: Exchange) -> None:
    """Change what the body names; `enabled` brings back one that was disabled."""
    endpoint = await _addressed(services, exchange)
    body = await _read(exchange, {"url", "events", "description", "enabled"})
    changes: dict[str, Any] = {}
    if "url" in body:
        changes["url"] = await services.webhooks.allowed(_text(body, "url", most=2048) or "")
    if "events" in body:
        changes["types"] = _json_list(_events(body["events"]))
    if "description" in body:
        changes["description"] = _text(body, "description", most=MAX_DESCRIPTION) or ""
    if "enabled" in body:
        changes |= _enabled(services, body["enabled"])
    if changes:
        await on_anothers(services, exchange, Act.WEBHOOK_UPDATED, endpoint.id, endpoint.owner)
        await services.webhooks.endpoints.change(endpoint, changes)
    await exchange.send_json(_endpoint(services, await _find(services, exchange)))


async def delete(services: Services, exchange: Exchange) -> None:
    """Forget an endpoint."""
    endpoint = await _addressed(services, exchange)
    await on_anothers(services, exchange, Act.WEBHOOK_DELETED, endpoint.id, endpoint.owner)
    await services.webhooks.endpoints.delete(endpoint)
    await exchange.send(204, b"", [])


async def rotate(services: Services, exchange: Exchange) -> None:
    """Give an endpoint a new secret; the former one signs as well for some hours."""
    endpoint = await _find(services, exchange)
    body = await _read(exchange, {"overlap_hours"})
    hours = body.get("overlap_hours", OVERLAP_HOURS)
    if not isinstance(hours, int) or isinstance(hours, bool) or not 0 <= hours <= MAX_OVERLAP_HOURS:
        raise _wrong("overlap_hours", f"a whole number from 0 to {MAX_OVERLAP_HOURS}")
    await on_anothers(services, exchange, Act.WEBHOOK_ROTATED, endpoint.id, endpoint.owner)
    secret = await services.webhooks.endpoints.rotate(endpoint, hours * HOUR_MS)
    await exchange.send_json(_endpoint(services, await _find(services, exchange)) | {"secret": secret})


async def test(services: Services, exchange: Exchange) -> None:
    """Have a message sent that says nothing; answers with its delivery."""
    endpoint = await _addressed(services, exchange)
    await on_anothers(services, exchange, Act.WEBHOOK_TESTED, endpoint.id, endpoint.owner)
    now = services.clock.now_ms()
    await _accepted(services, exchange, await services.webhooks.deliveries.test(endpoint.owner, endpoint.id, now))


async def deliveries(services: Services, exchange: Exchange) -> None:
    """Answer with the caller's deliveries, newest first; `cursor` continues a former page."""
    limit, before = _whole(exchange, "limit", 20), _whole(exchange, "cursor", 2**53)
    endpoint = exchange.query.get("webhook")
    if endpoint == JOBS:
        endpoint = (await services.webhooks.endpoints.signer(exchange.who.owner)).id
    found = await services.webhooks.deliveries.page(
        visible_owner(exchange.who), before=before, limit=min(limit, MAX_PAGE), endpoint_id=endpoint
    )
    full = len(found) == min(limit, MAX_PAGE)
    cursor = str(found[-1].sequence) if full else None
    await exchange.send_json({"deliveries": [_delivery(each) for each in found], "next_cursor": cursor})


async def delivery(services: Services, exchange: Exchange) -> None:
    """Answer with a delivery and every attempt of it."""
    found = await _delivered(services, exchange, exchange.params["id"])
    attempts = await services.webhooks.deliveries.attempts(found)
    await exchange.send_json(_delivery(found) | {"attempts": [_attempt(attempt) for attempt in attempts]})


async def redeliver(services: Services, exchange: Exchange) -> None:
    """Have the same message sent once more, under the same id; answers with the new delivery."""
    found = await _delivered(services, exchange, exchange.params["id"])
    await on_anothers(services, exchange, Act.REDELIVERED, found.id, found.owner)
    await _accepted(services, exchange, await services.webhooks.deliveries.again(found, services.clock.now_ms()))


async def _accepted(services: Services, exchange: Exchange, delivery_id: str) -> None:
    found = await _delivered(services, exchange, delivery_id)
    await exchange.send_json(_delivery(found), status=202)


async def _delivered(services: Services, exchange: Exchange, delivery_id: str) -> Delivery:
    found = await services.webhooks.deliveries.get(delivery_id, visible_owner(exchange.who))
    if found is None:
        raise Problem(Code.NOT_FOUND)
    return found


async def _find(services: Services, exchange: Exchange) -> Endpoint:
    endpoint_id = exchange.params["id"]
    if endpoint_id == JOBS:
        return await services.webhooks.endpoints.signer(exchange.who.owner)
    found = await services.webhooks.endpoints.get(endpoint_id, visible_owner(exchange.who))
    if found is None:
        raise Problem(Code.NOT_FOUND)
    return found


async def _addressed(services: Services, exchange: Exchange) -> Endpoint:
    """Return an endpoint that has an address of its own; raises Problem NOT_FOUND."""
    endpoint = await _find(services, exchange)
    if endpoint.url is None:
        raise Problem(Code.NOT_FOUND)
    return endpoint


async def _read(exchange: Exchange, known: set[str]) -> dict[str, Any]:
    body = await exchange.json(MAX_BODY_BYTES)
    if unknown := sorted(set(body) - known):
        # A member that was ignored would be believed to work.
        raise _wrong(unknown[0][:40], f"not known here; there are {', '.join(sorted(known))}")
    return body


def _text(body: dict[str, Any], name: str, *, most: int) -> str | None:
    given = body.get(name)
    if given is not None and not (isinstance(given, str) and len(given) <= most):
        raise _wrong(name, f"a text of at most {most} characters")
    return given


def _events(given: object) -> list[str]:
    if given is None:
        return list(CHOICE)
    if not isinstance(given, list) or not given or not all(event in CHOICE for event in given):
        raise _wrong("events", f"a list of some of {', '.join(CHOICE)}")
    return [str(event) for event in CHOICE if event in given]


def _enabled(services: Services, given: object) -> dict[str, Any]:
    if given is True:
        return {"disabled_at": None, "disabled_reason": None, "failing_since": None}
    if given is False:
        return {"disabled_at": services.clock.now_ms(), "disabled_reason": "by its owner"}
    raise _wrong("enabled", "true or false")


def _json_list(items: list[str]) -> str:
    return "[" + ",".join(f'"{item}"' for item in items) + "]"


def _whole(exchange: Exchange, name: str, default: int) -> int:
    text = exchange.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 17 and int(text) > 0):
        raise Problem(Code.INVALID_REQUEST, f"{name}: a whole number.", members=fault(name, "not a whole number"))
    return int(text)


def _wrong(name: str, what: str) -> Problem:
    return Problem(Code.INVALID_FIELD, f"{name}: {what}.", members=fault(f"/{name}", what))


def _endpoint(services: Services, endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id if endpoint.url else JOBS,
        "owner": endpoint.owner,
        "url": endpoint.url,
        "events": list(endpoint.types),
        "description": endpoint.description,
        "enabled": endpoint.disabled_at is None,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": moment(endpoint.failing_since),
        "signatures": len(endpoint.signers(services.clock.now_ms())),
        "created_at": moment(endpoint.created_at),
    }


def _delivery(found: Delivery) -> dict[str, Any]:
    return {
        "id": found.id,
        "message_id": found.message_id,
        "webhook_id": JOBS if found.url else found.endpoint_id,
        "event": found.type,
        "subject": found.subject,
        "state": found.state,
        "tries": found.attempts,
        "next_attempt_at": moment(found.next_at),
        "created_at": moment(found.created_at),
        "ended_at": moment(found.ended_at),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": moment(attempt.at), "status": attempt.status, "error": attempt.error, "duration_ms": attempt.duration_ms,
    }  # fmt: skip
