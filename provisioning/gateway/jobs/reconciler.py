"""Periodic reconciliation of the jobs in flight with ComfyUI, since events can be missed."""

from __future__ import annotations

import asyncio
import logging

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.canceller import Canceller
from provisioning.gateway.jobs.circuit_breaker import CircuitBreaker
from provisioning.gateway.jobs.job import STAGED, Job, JobState
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.upstream.guard import guarded

GRACE_MS = 30_000
"""How long ComfyUI may take to stop a job: it checks between sampler steps, and large steps take seconds."""

_log = logging.getLogger(__name__)


class Reconciler:
    """Settles jobs whose events were missed, completes cancellations and enforces time limits."""

    def __init__(self, tracker: Tracker, canceller: Canceller, breaker: CircuitBreaker, clock: Clock) -> None:
        self._tracker = tracker
        self._canceller = canceller
        self._breaker = breaker
        self._clock = clock
        self._nonsense_since: int | None = None
        """Since when ComfyUI has returned malformed responses only."""

    async def run(self, pause_seconds: float) -> None:
        """Reconcile every `pause_seconds` until cancelled."""
        while True:
            await asyncio.sleep(pause_seconds)
            await self.reconcile()

    async def reconcile(self) -> None:
        """Reconcile every job once; an error in one step does not prevent the others."""
        await guarded(self._reconcile())
        await guarded(self._canceller.enforce())
        await guarded(self._stop_overdue())

    async def _reconcile(self) -> None:
        try:
            await self._tracker.reconcile()
        except Problem as problem:
            if problem.code is Code.UPSTREAM_ERROR:
                self._nonsense_since = self._nonsense_since or self._clock.now_ms()
            raise
        self._nonsense_since = None

    async def _stop_overdue(self) -> None:
        for job in self._tracker.of_owner(None):
            if job.timeout_ms and self._took(job) > job.timeout_ms:
                await self._stop(job)

    def _took(self, job: Job) -> int:
        """Return how long a job has run, or was queued at a ComfyUI that returned malformed responses only."""
        now, since = self._clock.now_ms(), None
        if job.keeping:
            return 0
        if job.state is JobState.RUNNING:
            since = job.started_at
        elif job.state in STAGED and not job.posting:
            since = self._nonsense_since
        return now - (since or now)

    async def _stop(self, job: Job) -> None:
        now = self._clock.now_ms()
        if job.interrupted_at is None:
            _log.warning("a job exceeded its time limit", extra={"job_id": job.id, "timeout_ms": job.timeout_ms})
            job.interrupted_at = now
        elif now - job.interrupted_at > GRACE_MS:
            # The job ignores the interrupt: only a restart of ComfyUI stops it.
            self._breaker.open(job.id, Code.UPSTREAM_STUCK)
            await self._tracker.time_out(job)
            return
        await self._canceller.stop(job)
        await self._tracker.settle(job)
