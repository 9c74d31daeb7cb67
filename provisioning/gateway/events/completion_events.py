"""The last events of a job, made from its database row, so that they are the same after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass

import orjson

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.events.broadcast import Broadcast
from provisioning.gateway.events.channels import Channels, Event
from provisioning.gateway.events.job_events import OUTPUT, STATUS, JobEvents
from provisioning.gateway.jobs import job_schemas
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.job_documents import JobDocuments
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.repository import JobRecord
from provisioning.gateway.jobs.status import status_of

ATTEMPTS = 5
ATTEMPT_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CompletionEvents:
    """Publishes the last events of jobs."""

    job_events: JobEvents
    channels: Channels
    broadcast: Broadcast
    ledger: Ledger
    documents: JobDocuments
    clock: Clock

    async def run(self) -> None:
        """Publish the last events of each job once its end is stored, until cancelled."""
        while True:
            job = await self.job_events.ends.get()
            for event in await self._end(job):
                self.channels.publish(job.owner, event)
            self.channels.ended(job.owner, job.id)
            self.broadcast.job_ended(job.owner)

    async def _end(self, job: Job) -> list[Event]:
        """Return the last events of a job; without outputs while the database is unavailable."""
        for _ in range(ATTEMPTS):
            with contextlib.suppress(Problem):
                row = await self.ledger.row(job.id, None)
                return [] if row is None else await self.of_row(row)
            await asyncio.sleep(ATTEMPT_SECONDS)
        _log.error("the row of an ended job could not be read", extra={"job_id": job.id})
        data = {"job_id": job.id, "status": status_of(job.state, cancelling=False)}
        return [Event(STATUS, orjson.dumps(data), job.id, last=True)]

    async def of_row(self, row: JobRecord) -> list[Event]:
        """Return the last events of a job: its outputs and its final state. Raises Problem."""
        files, now = await self.documents.outputs_soon(row.id), self.clock.now_ms()
        outputs = [{"job_id": row.id} | job_schemas.Output.of(asset, "", now).model_dump() for asset in files]
        return [*(Event(OUTPUT, orjson.dumps(output), row.id) for output in outputs), final(row)]


def final(row: JobRecord) -> Event:
    """Return the event of a job's final state."""
    document = job_schemas.Job.of(row, job_schemas.JobView("", 0, 0)).model_dump()
    data = {"job_id": row.id} | {name: document[name] for name in ("status", "error", "completed_at", "metrics")}
    return Event(STATUS, orjson.dumps(data), row.id, last=True)
