"""How the pod is, as far as jobs are concerned."""

from __future__ import annotations

import asyncio
from typing import Any

from provisioning.gateway.problems import Code
from provisioning.gateway.services import Services

LOOK_SECONDS = 0.5


async def watch(services: Services) -> None:
    """Tell everybody of every change, until cancelled."""
    while True:
        services.news.tell_pod(status(services))
        await asyncio.sleep(LOOK_SECONDS)


def status(services: Services) -> dict[str, Any]:
    """Return whether jobs run, and why not; looks at nothing but memory."""
    reason, broken = _reason(services), services.scheduler.latch.reason
    up = "stuck" if broken is Code.UPSTREAM_STUCK else "up"
    return {
        "ready": reason is None,
        "reason": reason,
        "comfyui": up if services.feed.connected else "down",
        "gpu": "fault" if broken is Code.GPU_FAULT else "ok",
        "draining": services.draining,
    }


def _reason(services: Services) -> Code | None:
    if services.draining:
        return Code.DRAINING
    if (broken := services.scheduler.latch.reason) is not None:
        return broken
    return None if services.feed.connected else Code.UPSTREAM_UNAVAILABLE
