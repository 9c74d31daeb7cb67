"""The tracker: follows every job to its end; ComfyUI's events trigger it, queries of ComfyUI decide."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.folder_locks import Folder
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.jobs import failure_codes, missed_ends, queue_limits
from provisioning.gateway.jobs.circuit_breaker import CircuitBreaker
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState
from provisioning.gateway.jobs.job_files import JobFiles
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.observers import JobObserver
from provisioning.gateway.jobs.progress import JobProgress
from provisioning.gateway.jobs.provenance import Provenance
from provisioning.gateway.jobs.queue_limits import QueueCounts
from provisioning.gateway.jobs.results import MAX_FILES, finished_outcome, made_by
from provisioning.gateway.upstream import queries as upstream_queries
from provisioning.gateway.upstream.client import ComfyUIClient
from provisioning.gateway.upstream.owner_namespace import OwnerNamespace, namespace_of
from provisioning.gateway.upstream.stored_file import StoredFile

MAX_ATTEMPTS = 2
"""Attempts for a job that ComfyUI lost; a job that crashes ComfyUI twice fails."""

RECENT = 256
"""Finished jobs that are remembered for events that arrive after their end was found by a query."""


_log = logging.getLogger(__name__)


class Tracker:
    """Holds the jobs without a final state."""

    def __init__(
        self, ledger: Ledger, upstream: ComfyUIClient, breaker: CircuitBreaker, clock: Clock, settings: GatewaySettings,
        files: JobFiles,
    ) -> None:  # fmt: skip
        self.observers: list[JobObserver] = []
        """Notified of every change of a job; their order does not matter."""
        self.files = files
        self._ledger = ledger
        self._upstream = upstream
        self._breaker = breaker
        self._clock = clock
        self._pepper = settings.pepper.get_secret_value()
        self._max_queued = settings.max_queued
        self._look_seconds = settings.internal.job_look_seconds
        self._live: dict[str, Job] = {}
        self.in_doubt: list[Job] = []
        """Jobs that were stored, although their submission was answered with an error of the volume."""
        self._recent: OrderedDict[str, Job] = OrderedDict()
        self._settling: dict[str, asyncio.Lock] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._provenance = Provenance(ledger, upstream, self._put_at)

    def changed(self, job: Job) -> None:
        """Notify every observer of a change of the job."""
        for observer in self.observers:
            observer.job_changed(job)

    def _put_at(self, file: StoredFile) -> int:
        return self.files.put_at(file)

    async def load(self) -> None:
        """Load the unfinished jobs of a former process."""
        self._live = {job.id: job for job in await self._ledger.in_flight()}

    def add(self, jobs: Sequence[Job]) -> None:
        """Add new jobs of one key, all or none; raises Problem QUEUE_FULL when a limit would be exceeded.

        The limits are those of the key, of its owner, and of all jobs. Raises Problem INVALID_PROMPT_ID when another
        unfinished job has the id that the caller chose.
        """
        first = jobs[0]
        if any(job.id in self._live for job in jobs):
            raise Problem(Code.INVALID_PROMPT_ID)
        of_owner = self.of_owner(first.owner)
        of_key = sum(job.key_id == first.key_id for job in of_owner)
        queue_limits.check(
            QueueCounts(of_key, len(of_owner), len(self._live)), len(jobs), first.queue_limits, self._max_queued
        )
        self._live.update((job.id, job) for job in jobs)

    def forget(self, job: Job) -> None:
        """Remove a job that was not stored."""
        self._live.pop(job.id, None)

    def keep_in_doubt(self, jobs: Sequence[Job]) -> None:
        """Keep jobs in doubt, which count in the queue, until their rejection can be recorded."""
        self.in_doubt.extend(jobs)

    def get(self, job_id: str) -> Job | None:
        """Return an unfinished job."""
        return self._live.get(job_id)

    def find_recent(self, job_id: str) -> Job | None:
        """Return a job that is unfinished or ended recently, for late events."""
        return self._live.get(job_id) or self._recent.get(job_id)

    def running(self) -> Job | None:
        """Return the running job."""
        return next((job for job in self._live.values() if job.state is JobState.RUNNING), None)

    def of_owner(self, owner: str | None) -> list[Job]:
        """Return an owner's unfinished jobs, oldest first; those of all owners when `owner` is None."""
        return [job for job in self._live.values() if owner is None or job.owner == owner]

    def namespace(self, job: Job) -> OwnerNamespace:
        """Return the namespace of the job's owner."""
        return namespace_of(self._pepper, job.owner, admin=job.admin)

    async def started(self, job: Job, at_ms: int) -> None:
        """Record that the job has started."""
        if job.state is not JobState.RUNNING:
            job.state, job.started_at = JobState.RUNNING, at_ms
            self.changed(job)
            await self._ledger.started(job)

    async def requeue(self, job: Job) -> None:
        """Put a job that ComfyUI does not have back into the queue."""
        # Recorded first: once it waits in memory it may be dispatched again, which is recorded too.
        await self._ledger.requeued(job)
        job.state, job.started_at, job.progress = JobState.ACCEPTED, None, JobProgress()
        self.changed(job)

    async def reject(self, job: Job, error: str) -> None:
        """Record that the job will never run."""
        now = self._clock.now_ms()
        await self._end(job, JobOutcome(JobState.REJECTED, None, now, 0, error=error, hidden=job.awaited))

    async def time_out(self, job: Job) -> None:
        """Record that the job exceeded its time limit, whether or not ComfyUI still runs it."""
        now = self._clock.now_ms()
        await self._end(
            job, JobOutcome(JobState.FAILED, job.started_at, now, _since(job, now), error=failure_codes.JOB_TIMEOUT)
        )

    async def settle(self, job: Job) -> bool:
        """Query ComfyUI for the job's end and record it; returns whether the job has ended."""
        async with self._settling.setdefault(job.id, asyncio.Lock()):
            if job.id not in self._live:
                return True
            outcome = await self._outcome(job)
            if outcome is not None:
                async with self.files.folders.writing(
                    {Folder(each.file.type, each.file.subfolder) for each in outcome.files}
                ):
                    await self._end(job, await self.files.keep(job, outcome))
            return outcome is not None

    async def refresh(self, job: Job) -> None:
        """Settle the job before it is shown, if ComfyUI answers soon; otherwise leave its last known state."""
        looking = asyncio.create_task(self._look(job))
        self._looking.add(looking)
        looking.add_done_callback(self._looking.discard)
        await asyncio.wait({looking}, timeout=self._look_seconds)

    async def _look(self, job: Job) -> None:
        try:
            await self.settle(job)
        except Problem:
            return
        except Exception:  # noqa: BLE001 - the waiter may be gone; the reconciler tries again
            _log.exception("the end of a job could not be determined", extra={"job_id": job.id})

    async def reconcile(self) -> None:
        """Settle every job whose events were missed; called periodically, and after ComfyUI was away."""
        for job in self.of_owner(None):
            if not job.posting and not job.keeping:
                await self.settle(job)

    async def _outcome(self, job: Job) -> JobOutcome | None:
        if job.state is JobState.ACCEPTED:
            return self._cancelled(job) if job.cancel_requested else None
        return await self._found(job)

    async def _found(self, job: Job) -> JobOutcome | None:
        posting = job.posting
        for attempt in range(2):
            entry = await upstream_queries.history_entry(self._upstream, job.id)
            if entry is not None:
                return await self._finished(job, entry)
            # It may have moved from the queue to the history between the two queries: hence the second attempt.
            if attempt == 0 and await self._is_queued(job):
                return None
        if posting:
            return None
        if job.cancel_requested:
            return self._cancelled(job)
        if job.attempts < MAX_ATTEMPTS:
            await self.requeue(job)
            return None
        return JobOutcome(JobState.FAILED, job.started_at, self._clock.now_ms(), 0, error=failure_codes.LOST)

    async def _finished(self, job: Job, entry: object) -> JobOutcome | None:
        outcome = finished_outcome(job, entry, self.namespace(job), self._clock.now_ms())
        if outcome.error == failure_codes.GPU_FAULT:
            # Before the first await: the next job to be settled ran on the same broken GPU.
            self._breaker.open(job.id, Code.GPU_FAULT)
        if (
            outcome.error == failure_codes.GPU_FAULT
            and not self._breaker.was_opened_by(job.id)
            and job.attempts < MAX_ATTEMPTS
        ):
            # Another job broke the GPU before this one started: it runs again when ComfyUI is back.
            await self.requeue(job)
            return None
        files = await self._provenance.made(job, self.namespace(job), outcome.files, outcome.started_at)
        return replace(outcome, files=files)

    async def is_output_of(self, owner: str, file: StoredFile) -> bool:
        """Return whether an unfinished job of `owner` reported and made this file; raises Problem."""
        for job in self.of_owner(owner):
            named = [job.shown[file]] if file in job.shown else []
            if named and await self._provenance.made(job, self.namespace(job), named, job.started_at):
                return True
        return False

    def add_outputs(self, job: Job, node_id: str, output: object) -> None:
        """Record the files that a node reports, so that the owner can fetch them before the job ends."""
        made = made_by(job, {node_id: output}, self.namespace(job))
        job.shown.update((output.file, output) for output in made[: MAX_FILES - len(job.shown)])

    def _cancelled(self, job: Job) -> JobOutcome:
        return JobOutcome(JobState.CANCELLED, job.started_at, self._clock.now_ms(), 0, error=failure_codes.CANCELLED)

    async def _is_queued(self, job: Job) -> bool:
        queue = await self.queue()
        if any(item[1] == job.id for item in queue["queue_running"]):
            await self.started(job, self._clock.now_ms())
            return True
        return any(item[1] == job.id for item in queue["queue_pending"])

    async def queue(self) -> upstream_queries.Queue:
        """Return ComfyUI's queue, of all users; raises Problem."""
        return await upstream_queries.queue(self._upstream)

    async def _end(self, job: Job, outcome: JobOutcome) -> None:
        error = missed_ends.error_of(job, outcome)
        if error is not None:
            outcome, job.failure = replace(outcome, history=missed_ends.history_of(job, error)), error
        await self._ledger.finished(job, outcome)
        job.state, job.error, job.took_ms = outcome.state, outcome.error, outcome.gpu_ms
        self._live.pop(job.id, None)
        self._settling.pop(job.id, None)
        self.changed(job)
        if not outcome.hidden:
            self._remember(job)
            for observer in self.observers:
                observer.job_ended(job)

    def _remember(self, job: Job) -> None:
        self._recent[job.id] = job
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)


def _since(job: Job, now: int) -> int:
    return max(0, now - job.started_at) if job.started_at is not None else 0
