"""The operation on the whole queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.operation import Answer, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.jobs.queue_limits import QueueLimits
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.schemas import Queue, QueuedJob
from provisioning.gateway.jobs.tracker import Tracker

QUEUED: dict[str, Any] = {
    "id": "0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10",
    "status": "queued",
    "priority": 0,
    "submitted_at": "2026-01-01T12:00:00.000+00:00",
    "started_at": None,
    "queue_position": 1,
    "queue_wait_seconds": 4,
    "estimated_seconds": 12,
    "batch_id": None,
    "url": "/api/v2/jobs/0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10",
}


class JobQueueRoutes:
    """Shows callers their unfinished jobs, with positions and estimates."""

    def __init__(self, tracker: Tracker, scheduler: Scheduler, limits_of: Callable[[Actor], QueueLimits]) -> None:
        self._tracker = tracker
        self._scheduler = scheduler
        self._limits_of = limits_of

    @Operation(
        method="GET",
        path="/api/gateway/jobs",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="Show the queue",
        answers=(
            Answer(
                "The caller's unfinished jobs; for an admin, those of all users.",
                Queue,
                {"jobs": [QUEUED], "queued": 3, "limit": 100},
            ),
        ),
    )
    async def show(self, request: GatewayRequest) -> Queue:
        """Show the caller's unfinished jobs, the next one first; an admin sees those of all users."""
        mine = {job.id for job in self._tracker.of_owner(request.who.visible_owner)}
        order, estimates = self._scheduler.order(), self._scheduler.estimates()
        return Queue(
            jobs=[QueuedJob.of(job, estimates[job.id]) for job in order if job.id in mine],
            queued=len(order),
            limit=self._limits_of(request.who).most,
        )
