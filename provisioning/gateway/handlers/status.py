"""Whether the gateway lives, is ready, and what its errors mean."""

from __future__ import annotations

from provisioning.gateway.exchange import Exchange
from provisioning.gateway.problems import CATALOGUE, Code, Problem
from provisioning.gateway.services import Services, visible_owner

DAY_MS = 86_400_000


async def livez(_services: Services, exchange: Exchange) -> None:
    """Say that the process answers; touches nothing."""
    await exchange.send_json({"status": "alive"})


async def readyz(services: Services, exchange: Exchange) -> None:
    """Say whether jobs can be taken; raises Problem with the reason when not."""
    services.check_not_draining()
    if services.scheduler.faulty:
        raise Problem(Code.GPU_FAULT)
    if not services.feed.connected:
        raise Problem(Code.UPSTREAM_UNAVAILABLE)
    if not await services.ledger.writable():
        raise Problem(Code.STORE_UNAVAILABLE)
    await exchange.send_json({"status": "ready"})


async def error(_services: Services, exchange: Exchange) -> None:
    """Explain an error code."""
    try:
        code = Code(exchange.params["code"])
    except ValueError:
        raise Problem(Code.NOT_FOUND) from None
    entry = CATALOGUE[code]
    await exchange.send_json({"code": code.value, "status": entry.status, "title": entry.title, "detail": entry.detail})


async def usage(services: Services, exchange: Exchange) -> None:
    """Sum up the caller's jobs of the last days: number, GPU time and cost by key and state; an admin's are all."""
    days = exchange.query.get("days", "30")
    if not (days.isascii() and days.isdigit() and 1 <= int(days) <= 3650):
        raise Problem(Code.INVALID_REQUEST, "days: a whole number from 1 to 3650.")
    since = services.clock.now_ms() - int(days) * DAY_MS
    rows = await services.ledger.usage(visible_owner(exchange.who), since)
    await exchange.send_json({"since": since, "rows": rows})
