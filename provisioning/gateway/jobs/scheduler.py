"""Whose turn it is: the gateway's own queue. ComfyUI holds the job it works on and at most one more.

Order: priority class, raised with the time waited; then a fair share of the machine for every owner; then who came
first. Fair share is start-time fair queueing: a job's tag is the later of now and its owner's last finish, in machine
time; so an owner who queues a hundred jobs is behind the first job of everybody else, and idle time saves up nothing.
"""

from __future__ import annotations

import asyncio
import contextlib

from provisioning.gateway.clock import Clock
from provisioning.gateway.comfyui.feed import guarded
from provisioning.gateway.jobs.dispatch import Dispatch
from provisioning.gateway.jobs.job import STAGED, Job, JobState
from provisioning.gateway.jobs.latch import Latch
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.pool import Pool
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.problems import Code, Problem

AGEING_MS = 60_000
"""Waiting this long is worth one priority class, so that no class waits for ever."""

FIRST_GUESS_MS = 10_000.0
"""What a job is taken to need before one has ended."""


class Scheduler:
    """Hands waiting jobs to ComfyUI, one at a time."""

    def __init__(
        self, tracker: Tracker, ledger: Ledger, dispatch: Dispatch, pool: Pool, latch: Latch, clock: Clock
    ) -> None:
        self.draining = False
        self.latch = latch
        self._tracker = tracker
        self._ledger = ledger
        self._dispatch = dispatch
        self._pool = pool
        self._clock = clock
        self._woken = asyncio.Event()
        self._machine_ms = 0.0
        self._finishes: dict[str, float] = {}
        self._tags: dict[str, float] = {}
        self._mean_ms = FIRST_GUESS_MS
        tracker.moved = self._moved

    async def submit(self, job: Job) -> None:
        """Write a job down and wait for ComfyUI's verdict if its turn is now; raises Problem when it will not run."""
        alone = not any(other.state is not JobState.RUNNING for other in self._tracker.of(None))
        # Counted in one step with the check, so that parallel requests find no more room than there is.
        self._tracker.follow(job)
        self._tag(job)
        # Shielded: a client that hangs up must not leave a job half written down.
        await asyncio.shield(self._accept(job))
        if alone and not (self.latch.closed or self.draining):
            job.awaited = True
            self.wake()
            await job.decided.wait()
        self.wake()
        if job.refusal is not None:
            raise job.refusal

    async def _accept(self, job: Job) -> None:
        accepted = False
        try:
            # Written down before ComfyUI hears of it: after a crash the id is looked for there.
            accepted = await self._ledger.accept(job)
        finally:
            job.posting = False
            if not accepted:
                self._tracker.forget(job)
                self._tags.pop(job.id, None)
        if not accepted:
            raise Problem(Code.IDEMPOTENCY_CONFLICT)
        self._tracker.moved(job)

    def wake(self) -> None:
        """Have the queue looked at."""
        self._woken.set()

    async def run(self, pause_seconds: float) -> None:
        """Hand out jobs until cancelled; looks at least every `pause_seconds`, since ComfyUI may have been away."""
        for job in self._tracker.of(None):
            self._tag(job)
        while True:
            self._woken.clear()
            if not await guarded(self.pump()):
                # Whatever woke it meanwhile, the job that came back included, may wait for the pause.
                self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._woken.wait()

    async def pump(self) -> None:
        """Hand out as many jobs as may go now; raises Problem when ComfyUI or the database is away."""
        await self.latch.look()
        while not self.draining and (upstream := self._pool.free(self._tracker.of(None))) is not None:
            if (job := self._next()) is None:
                return
            self._machine_ms = max(self._machine_ms, self._tags.get(job.id, 0.0))
            await self._dispatch.send(job, upstream)

    def _next(self) -> Job | None:
        return next((job for job in self.waiting() if not job.posting and not job.cancel_requested), None)

    def waiting(self) -> list[Job]:
        """Return the jobs that ComfyUI has not been given, the next one first."""
        now = self._clock.now_ms()
        return sorted(
            (job for job in self._tracker.of(None) if job.state is JobState.ACCEPTED),
            key=lambda job: (-self._class(job, now), self._tags.get(job.id, 0.0)),
        )

    @staticmethod
    def _class(job: Job, now: int) -> int:
        return job.priority + max(0, now - job.submitted_at) // AGEING_MS

    def position(self, job_id: str) -> int | None:
        """Return a job's place among those that do not run yet, from 1; None when it is not among them."""
        staged = [job for job in self._tracker.of(None) if job.state in STAGED]
        ids = [job.id for job in (*staged, *self.waiting())]
        return ids.index(job_id) + 1 if job_id in ids else None

    def wait_seconds(self, job_id: str) -> int | None:
        """Return about how long a job will wait, by what jobs took lately; None when it does not wait."""
        position = self.position(job_id)
        if position is None:
            return None
        running, now = self._tracker.running(), self._clock.now_ms()
        rest = max(0.0, self._mean_ms - (now - (running.started_at or now))) if running else 0.0
        return round((rest + (position - 1) * self._mean_ms) / 1000)

    def _tag(self, job: Job) -> None:
        tag = max(self._machine_ms, self._finishes.get(job.owner, 0.0))
        self._tags[job.id] = tag
        self._finishes[job.owner] = tag + self._mean_ms

    def _moved(self, job: Job) -> None:
        if job.ended:
            self._tags.pop(job.id, None)
            self._learn(job)
            job.decided.set()
        self.wake()

    def _learn(self, job: Job) -> None:
        if job.started_at is not None:
            took = max(0, self._clock.now_ms() - job.started_at)
            self._mean_ms = 0.8 * self._mean_ms + 0.2 * took
        # An owner whose share is behind the machine's time is as good as new.
        self._finishes = {owner: end for owner, end in self._finishes.items() if end > self._machine_ms}
