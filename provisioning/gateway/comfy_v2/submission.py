"""Submitting jobs of the Comfy API v2."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.idempotency import LIFETIME_MS
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.job_factory import JobFactory
from provisioning.gateway.jobs.job_schemas import SubmitJob
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.repository import JobRecord
from provisioning.gateway.jobs.submission import JobSubmission
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.webhooks.service import Webhooks


@dataclass(frozen=True)
class JobSubmitter:
    """Creates jobs from requests and puts them in the queue; every method may raise Problem."""

    factory: JobFactory
    submission: JobSubmission
    tracker: Tracker
    ledger: Ledger
    webhooks: Webhooks
    max_timeout_seconds: float

    async def create(self, actor: Actor, order: SubmitJob) -> Job:
        """Return a new job, not yet stored."""
        job = self.factory.create(actor, order.workflow)
        job.label = None if order.metadata is None else orjson.dumps(order.metadata)
        job.webhook_url = await self.webhooks.check_optional(order.webhook_url)
        order.apply(job, actor, self.max_timeout_seconds)
        return job

    async def find_replayed(self, job: Job) -> JobRecord | None:
        """Return the job of an earlier request with the same idempotency key; None when there is none.

        Raises Problem IDEMPOTENCY_KEY_REUSE when that request was a different one, and IDEMPOTENCY_CONFLICT while it is
        in progress.
        """
        if job.idempotency_key is None:
            return None
        known = await self.ledger.row_of_key(job.owner, job.idempotency_key)
        if known is None or known.submitted_at < job.submitted_at - LIFETIME_MS:
            return None
        if known.request_hash != job.request_hash:
            raise Problem(Code.IDEMPOTENCY_KEY_REUSE)
        live = self.tracker.get(known.id)
        if live is not None and live.posting:
            raise Problem(Code.IDEMPOTENCY_CONFLICT)
        return known

    async def submit(self, job: Job) -> None:
        """Put a job in the queue."""
        try:
            await self.submission.submit(job)
        except Problem:
            if self.tracker.get(job.id) is None:
                # The job was refused, so the request may be repeated with the same key.
                await self.ledger.release_key(job)
            raise
