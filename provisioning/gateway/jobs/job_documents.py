"""API documents of jobs, assembled from the database, the queue and the jobs' files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from provisioning.gateway.assets.repository import Asset, AssetStore
from provisioning.gateway.assets.sizes import AssetSizes
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.jobs.job import JobState
from provisioning.gateway.jobs.job_schemas import Job, JobView
from provisioning.gateway.jobs.lookup import JobLookup
from provisioning.gateway.jobs.repository import JobRecord
from provisioning.gateway.jobs.scheduler import Estimate, Scheduler
from provisioning.gateway.jobs.tracker import Tracker


@dataclass(frozen=True)
class JobDocuments:
    """Builds documents of jobs; every method may raise Problem."""

    lookup: JobLookup
    tracker: Tracker
    scheduler: Scheduler
    assets: AssetStore
    sizes: AssetSizes
    clock: Clock
    retention_ms: int
    """How long a job is kept after its end."""

    async def show(self, actor: Actor, job_id: str, base: str) -> Job:
        """Return the document of a job that the caller may see, with addresses below `base`."""
        row, files = await self.lookup.find_with_files(actor, job_id)
        # Estimates iterate over the whole queue; a finished job needs none.
        estimates = {} if row.finished_at else self.scheduler.estimates()
        return await self._document(row, files, estimates, base)

    async def list(self, rows: Sequence[JobRecord], base: str) -> Sequence[Job]:
        """Return the documents of several jobs."""
        estimates = self.scheduler.estimates()
        files = await self.assets.of_jobs([row.id for row in rows if row.state is JobState.COMPLETED])
        return [await self._document(row, files.get(row.id, ()), estimates, base) for row in rows]

    async def of_ended(self, row: JobRecord, base: str) -> Job:
        """Return the document of a finished job; sizes of outputs that are not available soon are omitted."""
        files = await self.outputs_soon(row.id)
        return Job.of(row, JobView(base, self.clock.now_ms(), self.retention_ms, assets=tuple(files)))

    async def outputs_soon(self, job_id: str) -> Sequence[Asset]:
        """Return the outputs of a job; sizes that are not available soon are omitted."""
        return [await self.sizes.measured_soon(asset) for asset in await self.assets.of_job(job_id)]

    async def _document(
        self, row: JobRecord, files: Iterable[Asset], estimates: Mapping[str, Estimate], base: str
    ) -> Job:
        live = self.tracker.get(row.id)
        view = JobView(
            base=base,
            now=self.clock.now_ms(),
            retention_ms=self.retention_ms,
            live=live if live is not None and live.state is JobState.RUNNING else None,
            estimate=estimates.get(row.id),
            assets=tuple([await self.sizes.measured(asset) for asset in files]),
        )
        return Job.of(row, view)
