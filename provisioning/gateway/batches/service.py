"""Submitting, showing and cancelling batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from provisioning.gateway.batches import schemas
from provisioning.gateway.batches.batch import Batch
from provisioning.gateway.batches.repository import BatchStore
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.idempotency import LIFETIME_MS
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.canceller import Canceller
from provisioning.gateway.jobs.dispatch import Dispatch
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.job_factory import JobFactory
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.tracker import Tracker


@dataclass(frozen=True)
class BatchService:
    """Submits, finds and cancels batches; every method may raise Problem."""

    store: BatchStore
    ledger: Ledger
    job_factory: JobFactory
    dispatch: Dispatch
    scheduler: Scheduler
    tracker: Tracker
    canceller: Canceller

    async def submit(self, batch: Batch, workflows: list[object], actor: Actor, prepare: Callable[[Job], None]) -> None:
        """Accept a job for each workflow, all or none; `prepare` sets the caller's options on each job."""
        jobs = []
        for workflow in workflows:
            job = self.job_factory.create(actor, workflow)
            prepare(job)
            job.batch_id = batch.id
            # Before any job is accepted: a file of another user refuses the whole batch.
            await self.dispatch.rewrite(job)
            jobs.append(job)
        await self.scheduler.submit_all(jobs, lambda: self.store.accept(batch, jobs, self.ledger.accept_within))

    async def find_replayed(self, batch: Batch) -> Batch | None:
        """Return the batch of the same request with the same idempotency key; None when there is none.

        Raises Problem IDEMPOTENCY_KEY_REUSE when a different request used the key.
        """
        if batch.idempotency_key is None:
            return None
        known = await self.store.of_key(batch.owner, batch.idempotency_key)
        if known is None or known.created_at < batch.created_at - LIFETIME_MS:
            return None
        if known.request_hash != batch.request_hash:
            raise Problem(Code.IDEMPOTENCY_KEY_REUSE)
        return known

    async def find(self, batch_id: str, owner: str | None) -> Batch:
        """Return a batch that `owner` may see; raises Problem NOT_FOUND."""
        batch = await self.store.get(batch_id, owner)
        if batch is None:
            raise Problem(Code.NOT_FOUND)
        return batch

    async def document(self, batch: Batch) -> schemas.Batch:
        """Return a batch with the state of each of its jobs."""
        return schemas.Batch.of(batch, await self.store.members(batch.id), self.scheduler.estimates())

    async def cancel(self, batch: Batch) -> None:
        """Cancel every job of a batch that has not ended."""
        live = [self.tracker.get(member.id) for member in await self.store.members(batch.id)]
        await asyncio.shield(self.canceller.cancel_all([job for job in live if job is not None]))
