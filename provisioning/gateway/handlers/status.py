"""Whether the gateway lives, is ready, and what its errors mean."""

from __future__ import annotations

import logging

from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange

PROBE_SECONDS = 1.0

_log = logging.getLogger(__name__)


async def livez(_services: Services, exchange: Exchange) -> None:
    """Say that the process answers; touches nothing."""
    await exchange.send_json({"status": "alive"})


async def health(_services: Services, exchange: Exchange) -> None:
    """Say that the Comfy API v2 answers here; like the contract's own, without a look at ComfyUI."""
    await exchange.send_json({"status": "healthy"})


async def readyz(services: Services, exchange: Exchange) -> None:
    """Say whether jobs can be taken, to anybody, and so without the reason; raises Problem when not."""
    try:
        await _check(services)
    except Problem as problem:
        _log.warning("not ready", extra={"code": problem.code.value})
        raise Problem(Code.NOT_READY) from problem
    await exchange.send_json({"status": "ready"})


async def ready(services: Services, exchange: Exchange) -> None:
    """Say whether jobs can be taken, and how ComfyUI is kept apart; raises Problem with the reason when not."""
    await _check(services)
    await exchange.send_json({"status": "ready", "isolation": services.settings.isolation})


async def _check(services: Services) -> None:
    services.check_not_draining()
    services.ledger.database.check()
    if (reason := services.scheduler.latch.reason) is not None:
        raise Problem(reason)
    if not services.feed.connected:
        raise Problem(Code.UPSTREAM_UNAVAILABLE)
    if not await _writable(services):
        raise Problem(Code.STORE_UNAVAILABLE)


async def _writable(services: Services) -> bool:
    # Anybody may ask, and each look is a commit: one a second is enough.
    now = services.clock.monotonic()
    if now - services.probed_at >= PROBE_SECONDS:
        services.probed_at = now
        services.writable = await services.ledger.writable()
    return services.writable
