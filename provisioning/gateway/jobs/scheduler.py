"""The job queue: decides which job runs next. ComfyUI holds the running job and at most one more.

Order: priority class, raised with the waiting time; then a fair share of the machine for every owner; then first come,
first served. Fair share is start-time fair queueing: a job's tag is the later of now and its owner's last finish, in
machine time. An owner who queues a hundred jobs is thus behind the first job of every other owner, and idle time earns
no credit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.database.log.health import NotOnVolume
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.circuit_breaker import CircuitBreaker
from provisioning.gateway.jobs.dispatch import Dispatch
from provisioning.gateway.jobs.estimator import Durations
from provisioning.gateway.jobs.job import STAGED, Job, JobState
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.observers import JobObserver
from provisioning.gateway.jobs.pool import Pool
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.upstream.guard import guarded

AGEING_MS = 60_000
"""Waiting this long raises a job by one priority class, so that no class starves."""


RECENT = 200
"""Finished jobs from which a new process estimates durations."""


@dataclass(frozen=True)
class Estimate:
    """The estimate for a job."""

    position: int | None
    """1 is next; None for a running job."""
    wait_seconds: int | None
    """Seconds until its start; None for a running job."""
    end_seconds: int
    """Seconds until its end."""


class Scheduler(JobObserver):
    """Sends waiting jobs to ComfyUI, one at a time."""

    def __init__(
        self,
        tracker: Tracker,
        ledger: Ledger,
        dispatch: Dispatch,
        pool: Pool,
        breaker: CircuitBreaker,
        clock: Clock,
        verdict_seconds: float,
    ) -> None:
        self.draining = False
        self.breaker = breaker
        self._tracker = tracker
        self._ledger = ledger
        self._dispatch = dispatch
        self._pool = pool
        self._clock = clock
        self._verdict_seconds = verdict_seconds
        self._woken = asyncio.Event()
        self._machine_ms = 0.0
        self._finishes: dict[str, float] = {}
        self._tags: dict[str, float] = {}
        self._durations = Durations()

    async def submit(self, job: Job) -> None:
        """Store a job and, if it runs next, wait for ComfyUI's verdict; raises Problem when it will not run."""
        others = self._tracker.of_owner(None)
        alone = not any(other.state is not JobState.RUNNING for other in others)
        goes_now = alone and not self.draining and self._pool.free(others, job) is not None
        await self._take([job], lambda: self._ledger.accept(job))
        if goes_now:
            await self._verdict(job)
        self.wake()
        if job.refusal is not None:
            raise job.refusal

    async def _verdict(self, job: Job) -> None:
        """Wait for ComfyUI's verdict on a job that runs next; a job that waits longer counts as queued."""
        job.awaited = True
        self.wake()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._verdict_seconds):
                    await job.decided.wait()
        finally:
            job.awaited = False

    async def submit_all(self, jobs: Sequence[Job], write: Callable[[], Awaitable[bool]]) -> None:
        """Store jobs of one owner with `write`, all or none; raises Problem when they are refused."""
        await self._take(jobs, write)
        self.wake()

    async def _take(self, jobs: Sequence[Job], write: Callable[[], Awaitable[bool]]) -> None:
        try:
            # Check and count without an await, so that parallel requests cannot exceed the limits.
            self._tracker.add(jobs)
        except Problem as problem:
            problem.retry_after = self._seconds_to_next_end()
            raise
        for job in jobs:
            self._tag(job)
        # Shielded: a client that disconnects must not leave a job half stored.
        await asyncio.shield(self._accept(jobs, write))

    async def _accept(self, jobs: Sequence[Job], write: Callable[[], Awaitable[bool]]) -> None:
        accepted = False
        try:
            # Stored before it is sent: after a crash the gateway queries ComfyUI for the id.
            accepted = await write()
        except NotOnVolume:
            self._tracker.keep_in_doubt(jobs)
            jobs = ()
            raise
        finally:
            for job in jobs:
                job.posting = False
                if not accepted:
                    self._tracker.forget(job)
                    self._tags.pop(job.id, None)
        if not accepted:
            raise Problem(Code.IDEMPOTENCY_CONFLICT)
        self._tracker.changed(job)

    def wake(self) -> None:
        """Wake the dispatch loop."""
        self._woken.set()

    async def run(self, pause_seconds: float) -> None:
        """Dispatch jobs until cancelled; checks at least every `pause_seconds`, since ComfyUI may have been away."""
        for kind, took_ms in reversed(await self._ledger.history_stats.durations(RECENT)):
            self._durations.learn(kind, took_ms)
        for job in self._tracker.of_owner(None):
            self._tag(job)
        while True:
            self._woken.clear()
            if not await guarded(self.pump()):
                # After an error, wait for the pause even if woken, for example by the requeued job.
                self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._woken.wait()

    async def pump(self) -> None:
        """Dispatch as many jobs as possible; raises Problem when ComfyUI or the database is away."""
        await self.breaker.poll()
        # Nothing is dispatched that could not be recorded.
        self._ledger.database.check()
        while not self.draining and (job := self._next()) is not None:
            if (upstream := self._pool.free(self._tracker.of_owner(None), job)) is None:
                return
            self._machine_ms = max(self._machine_ms, self._tags.get(job.id, 0.0))
            await self._dispatch.send(job, upstream)

    def _next(self) -> Job | None:
        return next((job for job in self.waiting() if not job.posting and not job.cancel_requested), None)

    def waiting(self) -> list[Job]:
        """Return the jobs that have not been dispatched, the next one first."""
        now = self._clock.now_ms()
        return sorted(
            (job for job in self._tracker.of_owner(None) if job.state is JobState.ACCEPTED),
            key=lambda job: (-self._class(job, now), self._tags.get(job.id, 0.0)),
        )

    @staticmethod
    def _class(job: Job, now: int) -> int:
        return job.priority + max(0, now - job.submitted_at) // AGEING_MS

    def order(self) -> list[Job]:
        """Return every unfinished job: running, staged and waiting ones, the next first."""
        live = self._tracker.of_owner(None)
        running = [job for job in live if job.state is JobState.RUNNING]
        return [*running, *(job for job in live if job.state in STAGED), *self.waiting()]

    def position(self, job_id: str) -> int | None:
        """Return a job's position among those that do not run yet, from 1; None when it is not among them."""
        ids = [job.id for job in self.order() if job.state is not JobState.RUNNING]
        return ids.index(job_id) + 1 if job_id in ids else None

    def estimates(self) -> dict[str, Estimate]:
        """Return position and estimated start and end of every unfinished job, from the durations of similar jobs."""
        found, place, start = {}, 0, 0.0
        for job in self.order():
            end = start + self._rest_ms(job)
            if job.state is JobState.RUNNING:
                found[job.id] = Estimate(None, None, round(end / 1000))
            else:
                place += 1
                found[job.id] = Estimate(place, round(start / 1000), round(end / 1000))
            start = end
        return found

    def _rest_ms(self, job: Job) -> float:
        ran = self._clock.now_ms() - job.started_at if job.started_at is not None else 0
        return max(0.0, self._durations.expected_ms(job.kind) - ran)

    def _seconds_to_next_end(self) -> float:
        first = next(iter(self.order()), None)
        return self._rest_ms(first) / 1000 if first is not None else 1.0

    def _tag(self, job: Job) -> None:
        tag = max(self._machine_ms, self._finishes.get(job.owner, 0.0))
        self._tags[job.id] = tag
        self._finishes[job.owner] = tag + self._durations.expected_ms(job.kind)

    def job_changed(self, job: Job) -> None:
        """Wake the dispatch loop; record the duration of a job that has ended."""
        if job.ended:
            self._tags.pop(job.id, None)
            self._learn(job)
            job.decided.set()
        self.wake()

    def _learn(self, job: Job) -> None:
        # The duration of a failed or cancelled job is not representative.
        if job.state is JobState.COMPLETED:
            self._durations.learn(job.kind, job.took_ms)
        # An owner's finish time before the machine's time has no effect and is dropped.
        self._finishes = {owner: end for owner, end in self._finishes.items() if end > self._machine_ms}
