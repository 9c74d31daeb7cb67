"""What the pod and its users' jobs have cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from provisioning.gateway.comfyui.feed import guarded
from provisioning.gateway.services import Services

MICROS = 1_000_000
HOUR_MS = 3_600_000


async def watch(services: Services) -> None:
    """Tell those who listen now and then, and whenever a job of theirs has ended, until cancelled."""
    while True:
        spenders = await services.news.spenders(services.settings.cost_update_seconds)
        for owner in services.channels.heard_owners():
            # The admins, who are None, are told whoever it was.
            if spenders is None or owner is None or owner in spenders:
                await guarded(_tell(services, owner))


async def _tell(services: Services, owner: str | None) -> None:
    services.news.tell_cost(owner, await document(services, owner))


async def document(services: Services, owner: str | None) -> dict[str, Any]:
    """Return what was spent, by the pod since its container started and by an owner's jobs; None is everybody."""
    now = services.clock.now_ms()
    today = datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "pod": _pod(services, now),
        "usage": {
            "of": "all" if owner is None else "own",
            "day": await _sum(services, owner, today),
            "month": await _sum(services, owner, today.replace(day=1)),
        },
    }


def _pod(services: Services, now: int) -> dict[str, Any]:
    price, since = services.settings.usd_per_hour, services.started_at
    spent = round(max(0, now - since) / HOUR_MS * price, 6)
    return {"since": datetime.fromtimestamp(since / 1000, UTC).isoformat(), "usd_per_hour": price, "usd": spent}


async def _sum(services: Services, owner: str | None, since: datetime) -> dict[str, Any]:
    rows = await services.ledger.usage(owner, round(since.timestamp() * 1000))
    jobs, gpu_ms, micros = (sum(row[name] or 0 for row in rows) for name in ("jobs", "gpu_ms", "usd_micros"))
    return {"jobs": jobs, "gpu_seconds": gpu_ms / 1000, "usd": micros / MICROS}
