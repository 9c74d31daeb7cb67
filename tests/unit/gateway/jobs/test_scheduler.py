"""The gateway's own queue: which job runs next, and how every job ends."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.gateway.jobs.job import Job, JobState
from provisioning.gateway.jobs.scheduler import AGEING_MS, Scheduler
from tests.unit.gateway.conftest import Gate, ManualClock, finish, lose, opened, submit, taken, until, workflow


class Jobs:
    """A fake tracker that only holds jobs."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def of_owner(self, owner: str | None) -> list[Job]:
        return [job for job in self.jobs if owner in {None, job.owner}]

    def running(self) -> Job | None:
        return None


class Queue:
    """A scheduler without a ComfyUI: the test takes the jobs."""

    def __init__(self) -> None:
        self.clock, self.tracker, self._ids = ManualClock(), Jobs(), itertools.count()
        self.scheduler = Scheduler(self.tracker, None, None, None, None, self.clock, 30.0)  # type: ignore[arg-type]

    def add(self, owner: str, priority: int = 0) -> str:
        job = Job(str(next(self._ids)), owner, owner, False, "", b"{}", self.clock.now_ms(), priority=priority)
        self.tracker.jobs.append(job)
        self.scheduler._tag(job)
        return job.id

    def take(self) -> str:
        """Run the next job to its end; return its id."""
        job = self.scheduler._next()
        assert job is not None
        self.scheduler._machine_ms = max(self.scheduler._machine_ms, self.scheduler._tags[job.id])
        self.tracker.jobs.remove(job)
        job.state, job.started_at = JobState.COMPLETED, self.clock.now_ms()
        self.clock.advance(10)
        self.scheduler.job_changed(job)
        return job.id

    def order(self) -> list[str]:
        return [self.take() for _ in range(len(self.tracker.jobs))]


def test_jobs_of_one_owner_run_in_order() -> None:
    queue = Queue()
    assert [queue.add("a") for _ in range(5)] == queue.order()


def test_a_hundred_jobs_of_one_owner_wait_behind_the_first_of_another() -> None:
    queue = Queue()
    many = [queue.add("many") for _ in range(100)]
    few = [queue.add("few") for _ in range(3)]
    order = queue.order()
    assert max(order.index(job) for job in few) <= 6
    assert [job for job in order if job in set(many)] == many


def test_higher_classes_run_first_and_lower_ones_do_not_starve() -> None:
    queue = Queue()
    low, high = queue.add("a", -1), queue.add("b", 1)
    assert queue.scheduler.position(high) == 1
    queue.clock.advance(3 * AGEING_MS / 1000)
    later = queue.add("c", 1)
    assert queue.order() == [high, low, later]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3), st.booleans()), max_size=40))
def test_every_job_is_dispatched_once_in_the_order_of_its_position(steps: list[tuple[str, int, bool]]) -> None:
    queue, added, gone = Queue(), set[str](), list[str]()
    for owner, priority, take in steps:
        added.add(queue.add(owner, priority))
        places = [queue.scheduler.position(job.id) for job in queue.scheduler.waiting()]
        assert places == list(range(1, len(places) + 1))
        if take:
            gone.append(queue.take())
    gone += queue.order()
    assert (len(gone), set(gone)) == (len(added), added)


async def test_comfyui_holds_at_most_one_job_beside_the_running_one(gate: Gate) -> None:
    jobs = [await submit(gate.alice) for _ in range(4)]
    assert [item[1] for item in gate.comfy.pending] == jobs[:1]
    await gate.comfy.begin(jobs[0])
    await taken(gate, jobs[1])
    assert len(gate.comfy.pending) == 1
    pending = (await gate.alice.get("/queue")).json()["queue_pending"]
    assert [(item[1], len(item)) for item in pending] == [(job, 5) for job in jobs[1:]]


async def test_owners_alternate(gate: Gate) -> None:
    first, second = await submit(gate.alice), await submit(gate.alice)
    other = await submit(gate.bob)
    places = [(await gate.admin.get(f"/api/v2/jobs/{job}")).json()["queue_position"] for job in (first, other, second)]
    assert places == [1, 2, 3]
    await finish(gate, first)
    await taken(gate, other)
    waits = (await gate.alice.get(f"/api/v2/jobs/{second}")).json()["queue_wait_seconds"]
    assert waits == 2, "the first, similar job took 1.5 s"


async def test_only_an_admin_can_raise_the_priority(gate: Gate) -> None:
    await submit(gate.alice)
    waiting = await submit(gate.alice)
    pushed = (await gate.bob.post("/api/v2/jobs", json={"workflow": workflow(), "priority": 9})).json()
    urgent = (await gate.admin.post("/api/v2/jobs", json={"workflow": workflow(), "priority": 9})).json()
    assert (pushed["queue_position"], urgent["queue_position"]) == (2, 2)
    assert gate.app.services.scheduler.position(waiting) == 4


async def test_waiting_jobs_survive_a_restart(gate: Gate) -> None:
    first, second = await submit(gate.alice), await submit(gate.alice)
    await gate.app.stop()
    async with opened(gate.settings, gate.clock) as (app, *_):
        gate.app = app
        await until(lambda: app.services.comfyui_listener.connected)
        await finish(gate, first)
        await finish(gate, second)
    assert gate.rows("SELECT state, attempts FROM jobs") == [("completed", 1)] * 2


async def test_a_waiting_job_that_is_refused_ends(gate: Gate) -> None:
    first, second = await submit(gate.alice), await submit(gate.alice)
    gate.comfy.prompt_answer = (400, {"error": {"type": "x", "message": "no", "details": ""}, "node_errors": {}})
    await finish(gate, first)
    await until(lambda: gate.app.services.tracker.get(second) is None)
    document = (await gate.alice.get(f"/api/v2/jobs/{second}")).json()
    assert (document["status"], document["error"]["code"]) == ("failed", "invalid_workflow")


async def test_a_waiting_job_is_cancelled_while_comfyui_is_away(gate: Gate) -> None:
    await submit(gate.alice)
    waiting = await submit(gate.alice)
    seen = len(gate.comfy.seen)
    answer = await gate.alice.post(f"/api/v2/jobs/{waiting}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert len(gate.comfy.seen) == seen


async def test_the_job_after_a_lost_one_runs(gate: Gate) -> None:
    crashing, innocent = await submit(gate.alice), await submit(gate.bob)
    await lose(gate, crashing)
    for job in (crashing, innocent):
        if gate.app.services.tracker.get(job) is not None:
            await until(lambda: gate.comfy.pending)
            await finish(gate, gate.comfy.pending[0][1])
    assert gate.rows("SELECT DISTINCT state FROM jobs") == [("completed",)]


async def test_a_job_that_crashes_comfyui_twice_affects_no_other_job(gate: Gate) -> None:
    deadly, innocent, later = [await submit(client) for client in (gate.alice, gate.bob, gate.bob)]
    await gate.comfy.begin(deadly)
    await taken(gate, innocent)
    await lose(gate, innocent)
    await taken(gate, deadly)
    await gate.comfy.begin(deadly)
    await until(gate.app.services.tracker.running)
    await gate.app.services.scheduler.pump()
    assert [job.attempts for job in gate.app.services.tracker.of_owner(None)] == [2, 1, 0]
    gate.comfy.running.clear()
    await gate.app.services.tracker.reconcile()
    for job in (innocent, later):
        await finish(gate, job)
    ends = {row[0]: row[1:] for row in gate.rows("SELECT id, state, error FROM jobs")}
    assert ends[deadly] == ("failed", "upstream_lost")
    assert ends[innocent] == ends[later] == ("completed", None)


@pytest.mark.parametrize("internal", [{"verdict_seconds": 0.1}])
async def test_a_submission_without_a_verdict_is_queued(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate.app.services.scheduler._pool, "free", lambda jobs, _job: None if list(jobs) else object())
    job = await submit(gate.alice)
    assert gate.rows("SELECT id, state FROM jobs") == [(job, "accepted")]
    live = gate.app.services.tracker.get(job)
    assert live is not None
    assert not live.awaited, "an unavailable ComfyUI no longer rejects it"
    monkeypatch.undo()
    await finish(gate, job)
    assert gate.rows("SELECT state FROM jobs") == [("completed",)]
