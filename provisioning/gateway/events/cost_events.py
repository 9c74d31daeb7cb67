"""Events about the cost of the pod and of its users' jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.time_units import HOUR_MS
from provisioning.gateway.events.broadcast import Broadcast
from provisioning.gateway.events.channels import Channels
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.upstream.guard import guarded

MICROS = 1_000_000


@dataclass(frozen=True)
class CostReport:
    """Sums up the cost of the pod and of its users' jobs."""

    ledger: Ledger
    clock: Clock
    usd_per_hour: float
    started_at: int
    """When the pod's container started, in milliseconds since the epoch."""

    async def document(self, owner: str | None) -> dict[str, Any]:
        """Return the cost of the pod since its start, and of an owner's jobs, or of all jobs for None.

        Raises Problem.
        """
        now = self.clock.now_ms()
        today = datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return {
            "pod": self._pod(now),
            "usage": {
                "of": "all" if owner is None else "own",
                "day": await self._sum(owner, today),
                "month": await self._sum(owner, today.replace(day=1)),
            },
        }

    def _pod(self, now: int) -> dict[str, Any]:
        spent = round(max(0, now - self.started_at) / HOUR_MS * self.usd_per_hour, 6)
        since = datetime.fromtimestamp(self.started_at / 1000, UTC).isoformat()
        return {"since": since, "usd_per_hour": self.usd_per_hour, "usd": spent}

    async def _sum(self, owner: str | None, since: datetime) -> dict[str, Any]:
        rows = await self.ledger.usage(owner, round(since.timestamp() * 1000))
        jobs, gpu_ms, micros = (sum(row[name] or 0 for row in rows) for name in ("jobs", "gpu_ms", "usd_micros"))
        return {"jobs": jobs, "gpu_seconds": gpu_ms / 1000, "usd": micros / MICROS}


async def watch(costs: CostReport, channels: Channels, broadcast: Broadcast, interval_seconds: float) -> None:
    """Publish costs at every interval, and to an owner when one of its jobs ends, until cancelled."""
    while True:
        owners = await broadcast.wait_for_ends(interval_seconds)
        for owner in channels.owners_with_readers():
            # None stands for the admins, who get every change.
            if owners is None or owner is None or owner in owners:
                await guarded(_publish(costs, broadcast, owner))


async def _publish(costs: CostReport, broadcast: Broadcast, owner: str | None) -> None:
    broadcast.publish_cost(owner, await costs.document(owner))
