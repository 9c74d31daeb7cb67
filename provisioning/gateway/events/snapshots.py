"""The first events of a stream: the current state, and the ended jobs that a client missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.schemas import optional_iso_time
from provisioning.gateway.events import broadcast, job_events
from provisioning.gateway.events.broadcast import Broadcast
from provisioning.gateway.events.channels import Channel, Cursor
from provisioning.gateway.events.completion_events import CompletionEvents
from provisioning.gateway.events.cost_events import CostReport
from provisioning.gateway.events.job_events import JobEvents
from provisioning.gateway.events.pod_events import PodStatusReport
from provisioning.gateway.events.sse_streams import RESET
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.repository import JobRecord
from provisioning.gateway.jobs.tracker import Tracker

SNAPSHOT = "snapshot"
"""The event with the current state; later events are changes to it."""

MAX_JOBS = 200
"""Most unfinished jobs in a snapshot, and most ended jobs after a reset; /api/v2/jobs lists the rest."""

CLOCK_SLACK_MS = 5000
"""How much the clocks of two successive pods may differ."""


class OutboundEvent(NamedTuple):
    """An event in the form in which it is sent."""

    name: str
    data: bytes
    id: str


@dataclass(frozen=True)
class Snapshots:
    """Makes the first events of streams; every method may raise Problem."""

    tracker: Tracker
    ledger: Ledger
    job_events: JobEvents
    ends: CompletionEvents
    broadcast: Broadcast
    pod: PodStatusReport
    costs: CostReport
    clock: Clock

    async def beginning(self, actor: Actor, channel: Channel, cursor: Cursor) -> list[OutboundEvent]:
        """Return the first events: none for a client that resumes, else the current state.

        A client whose events are no longer kept gets a reset before the state, and after it the jobs that ended since.
        """
        if cursor.resumed:
            return []
        state_id = channel.id_of(cursor.number, self.clock.now_ms())
        state = OutboundEvent(SNAPSHOT, orjson.dumps(await self.snapshot(actor)), state_id)
        if not cursor.lost:
            return [state]
        rows = await self._ended_since(actor, cursor.since_ms)
        since, complete = optional_iso_time(cursor.since_ms), len(rows) < MAX_JOBS
        reset = orjson.dumps({"since": since, "ended": len(rows), "complete": complete})
        ends = [event for row in rows for event in await self.ends.of_row(row)]
        return [
            OutboundEvent(RESET, reset, state_id),
            state,
            *(OutboundEvent(event.name, event.data, state_id) for event in ends),
        ]

    async def _ended_since(self, actor: Actor, since_ms: int | None) -> list[JobRecord]:
        if since_ms is None:
            return []
        return await self.ledger.ended(actor.visible_owner, since=since_ms - CLOCK_SLACK_MS, limit=MAX_JOBS)

    async def snapshot(self, actor: Actor) -> dict[str, Any]:
        """Return the caller's unfinished jobs, the pod's status, the cost and the installer's progress."""
        owner = actor.visible_owner
        live = self.tracker.of_owner(owner)
        return {
            "jobs": [self._job(job) for job in live[:MAX_JOBS]],
            "more_jobs": max(0, len(live) - MAX_JOBS),
            broadcast.POD: self.pod.document(),
            broadcast.COST: await self.costs.document(owner),
            broadcast.SETUP: self.broadcast.setup(in_detail=owner is None) or None,
        }

    def _job(self, job: Job) -> dict[str, Any]:
        return self.job_events.status(job) | {"progress": job_events.progress(job) if job.progress.node else None}
