"""The queue under any order of events: no job starves or runs twice, and shares are fair."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from provisioning.gateway.jobs.estimator import FIRST_GUESS_MS
from provisioning.gateway.jobs.job import STAGED, Job, JobState
from provisioning.gateway.jobs.options import MAX_PRIORITY
from provisioning.gateway.jobs.scheduler import AGEING_MS, Scheduler
from tests.unit.gateway.conftest import ManualClock

OWNERS = ("ann", "ben", "cem")
NOBODY_WAITS_BEHIND_MS = 2 * MAX_PRIORITY * AGEING_MS + AGEING_MS
"""After this time a job of the lowest class ranks above a new job of the highest class."""


class Tracker:
    """A tracker that only holds jobs."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def of_owner(self, owner: str | None) -> list[Job]:
        return [job for job in self.jobs if owner in {None, job.owner}]


class QueueMachine(RuleBasedStateMachine):
    """Jobs are submitted, dispatched, lost, cancelled or finished; time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.tracker = ManualClock(), Tracker()
        self.scheduler = Scheduler(self.tracker, None, None, None, None, self.clock, 30.0)  # type: ignore[arg-type]
        self.order: dict[str, int] = {}
        self.ended: list[str] = []

    @rule(owner=st.sampled_from(OWNERS), priority=st.sampled_from([-MAX_PRIORITY, -1, 0, 0, 0, 0, 5, MAX_PRIORITY]))
    def submit(self, owner: str, priority: int) -> None:
        number = len(self.order)
        job = Job(str(number), owner, owner, False, "", b"{}", self.clock.now_ms(), priority=priority)
        self.order[job.id] = number
        self.tracker.jobs.append(job)
        self.scheduler._tag(job)

    @precondition(lambda self: not any(job.state in STAGED for job in self.tracker.jobs))
    @rule()
    def hand_over(self) -> None:
        job = self.scheduler._next()
        if job is None:
            assert not [job for job in self.tracker.jobs if job.state is JobState.ACCEPTED and not job.cancel_requested]
            return
        assert job.id not in self.ended, "a finished job is not dispatched again"
        self.judge(job)
        self.scheduler._machine_ms = max(self.scheduler._machine_ms, self.scheduler._tags[job.id])
        job.state = JobState.QUEUED

    def judge(self, chosen: Job) -> None:
        """Check a choice against the promised order."""
        now = self.clock.now_ms()
        waiting = [job for job in self.tracker.jobs if job.state is JobState.ACCEPTED and not job.cancel_requested]
        for job in waiting:
            older = self.order[job.id] < self.order[chosen.id]
            same = job.owner == chosen.owner and job.priority == chosen.priority
            assert not (older and same and job.attempts == chosen.attempts == 0), "first come, first served"
            overdue = now - job.submitted_at >= NOBODY_WAITS_BEHIND_MS and now - chosen.submitted_at < AGEING_MS
            assert not overdue, "no job starves"
            assert self.scheduler._class(job, now) <= self.scheduler._class(chosen, now)

    @precondition(lambda self: any(job.state is JobState.QUEUED for job in self.tracker.jobs))
    @rule()
    def start(self) -> None:
        job = next(job for job in self.tracker.jobs if job.state is JobState.QUEUED)
        if not any(other.state is JobState.RUNNING for other in self.tracker.jobs):
            job.state, job.started_at = JobState.RUNNING, self.clock.now_ms()

    @precondition(lambda self: any(job.state is JobState.RUNNING for job in self.tracker.jobs))
    @rule(seconds=st.sampled_from([1, 10, 100]), state=st.sampled_from([JobState.COMPLETED, JobState.FAILED]))
    def end(self, seconds: int, state: JobState) -> None:
        job = next(job for job in self.tracker.jobs if job.state is JobState.RUNNING)
        self.clock.advance(seconds)
        self.finish(job, state)

    @precondition(lambda self: any(job.state is JobState.QUEUED for job in self.tracker.jobs))
    @rule()
    def lose(self) -> None:
        job = next(job for job in self.tracker.jobs if job.state is JobState.QUEUED)
        job.state, job.attempts = JobState.ACCEPTED, job.attempts + 1
        self.scheduler.job_changed(job)

    @precondition(lambda self: any(job.state is JobState.ACCEPTED for job in self.tracker.jobs))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([job for job in self.tracker.jobs if job.state is JobState.ACCEPTED]))
        job.cancel_requested = True
        assert self.scheduler._next() is not job
        self.finish(job, JobState.CANCELLED)

    @rule(minutes=st.sampled_from([1, 5, 30]))
    def wait(self, minutes: int) -> None:
        self.clock.advance(60 * minutes)

    def finish(self, job: Job, state: JobState) -> None:
        job.state = state
        self.tracker.jobs.remove(job)
        self.ended.append(job.id)
        self.scheduler.job_changed(job)

    @invariant()
    def everybody_has_a_place_and_at_most_one_is_staged(self) -> None:
        not_running = [job for job in self.tracker.jobs if job.state is not JobState.RUNNING]
        places = sorted(self.scheduler.position(job.id) or 0 for job in not_running)
        assert places == list(range(1, len(places) + 1))
        assert sum(job.state in STAGED for job in self.tracker.jobs) <= 1
        assert len(set(self.ended)) == len(self.ended), "no job ends twice"
        assert len(self.ended) + len(self.tracker.jobs) == len(self.order), "no job is lost"

    @invariant()
    def a_wait_is_what_those_before_it_need(self) -> None:
        estimates = self.scheduler.estimates()
        waits = [estimates[job.id].wait_seconds for job in self.scheduler.waiting()]
        known = [wait for wait in waits if wait is not None]
        assert len(known) == len(waits)
        assert known == sorted(known)

    def teardown(self) -> None:
        """The queue can always be drained."""
        for _ in range(len(self.tracker.jobs)):
            running = [job for job in self.tracker.jobs if job.state in {JobState.RUNNING, *STAGED}]
            job = running[0] if running else self.scheduler._next()
            assert job is not None
            self.finish(job, JobState.COMPLETED)
        assert self.tracker.jobs == []


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_shares_stay_within_two_jobs_of_each_other_while_both_wait() -> None:
    """The bound of start-time fair queueing: one longest job of each (Goyal, Vin, Cheng 1996, theorem 1)."""
    machine = QueueMachine()
    for number in range(60):
        machine.submit(OWNERS[0] if number < 40 else OWNERS[1 + number % 2], 0)
    served: Counter[str] = Counter()
    for _ in range(30):
        machine.hand_over()
        job = next(job for job in machine.tracker.jobs if job.state is JobState.QUEUED)
        job.state, job.started_at = JobState.RUNNING, machine.clock.now_ms()
        served[job.owner] += 1
        if all(any(waiting.owner == owner for waiting in machine.scheduler.waiting()) for owner in OWNERS):
            assert max(served.values()) - min(served[owner] for owner in OWNERS) <= 2
        machine.end(round(FIRST_GUESS_MS) // 1000, JobState.COMPLETED)
    assert min(served.values()) >= 9
