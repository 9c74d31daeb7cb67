"""Statistics of finished jobs that a new process starts with."""

from __future__ import annotations

import orjson
from sqlalchemy import select

from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.database.tables import JobRow
from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.jobs.estimator import kind_of
from provisioning.gateway.jobs.job import JobState


class HistoryStats:
    """Queries finished jobs; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def durations(self, limit: int) -> list[tuple[str, int]]:
        """Return kind and duration in milliseconds of the last completed jobs, newest first."""
        done = select(JobRow.workflow, JobRow.gpu_ms).where(JobRow.state == JobState.COMPLETED)
        newest = done.order_by(JobRow.sequence.desc()).limit(limit)
        rows = await self._database.read(lambda connection: list(connection.execute(newest)))
        return [(kind_of(orjson.loads(row.workflow)), row.gpu_ms) for row in rows if row.workflow]

    async def last_broken(self) -> tuple[str, str] | None:
        """Return id and failure code of the newest job that may have broken ComfyUI; None when there is none."""
        broken = select(JobRow.id, JobRow.error).where(
            JobRow.error.in_((failure_codes.GPU_FAULT, failure_codes.JOB_TIMEOUT))
        )
        newest = broken.order_by(JobRow.finished_at.desc()).limit(1)
        found = await self._database.read(lambda connection: connection.execute(newest).first())
        return None if found is None or found.error is None else (found.id, found.error)
