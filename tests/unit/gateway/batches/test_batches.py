"""Batches: limits, positions in the queue, and estimates."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from provisioning.gateway.jobs.estimator import Durations, kind_of
from tests.unit.gateway.conftest import Gate, finish, opened, submit, taken, until, workflow

PATH = "/api/gateway/batches"


def graph(**inputs: object) -> dict[str, Any]:
    return workflow() | {"1": {"class_type": "KSampler", "inputs": {"steps": 20, "seed": 1, **inputs}}}


def body(number: int = 3) -> dict[str, Any]:
    return {"workflow": graph(), "inputs": [{"1": {"seed": seed}} for seed in range(number)]}


async def batch(client: httpx.AsyncClient, sent: dict[str, Any] | None = None, key: str = "") -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    answer = await client.post(PATH, json=sent or body(), headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def run_all(gate: Gate, made: dict[str, Any]) -> None:
    for job in made["jobs"]:
        await finish(gate, job["id"])


async def test_a_batch_runs_to_its_end(gate: Gate) -> None:
    made = await batch(gate.alice)
    assert (made["status"], made["total"], made["counts"]["queued"]) == ("queued", 3, 3)
    assert [job["queue_position"] for job in made["jobs"]] == [1, 2, 3]
    first = made["jobs"][0]["id"]
    await taken(gate, first)
    await gate.comfy.begin(first)
    await until(gate.app.services.tracker.running)
    running = (await gate.alice.get(made["urls"]["self"])).json()
    assert (running["status"], running["counts"]["running"], running["counts"]["queued"]) == ("running", 1, 2)
    await gate.comfy.end(first)
    await run_all(gate, {"jobs": made["jobs"][1:]})
    done = (await gate.alice.get(made["urls"]["self"])).json()
    assert (done["status"], done["counts"]["succeeded"], done["estimated_seconds"]) == ("succeeded", 3, None)
    seeds = [gate.comfy.submitted(job["id"])["prompt"]["1"]["inputs"]["seed"] for job in made["jobs"]]
    assert seeds == [0, 1, 2]
    assert gate.rows("SELECT count(*), sum(gpu_ms) FROM jobs") == [(3, 4500)], "each is counted like any other job"


async def test_a_batch_of_whole_workflows_may_end_differently(gate: Gate) -> None:
    made = await batch(gate.alice, {"workflows": [workflow("a"), workflow("b")]})
    await finish(gate, made["jobs"][0]["id"])
    await finish(gate, made["jobs"][1]["id"], {"exception_message": "no"})
    done = (await gate.alice.get(made["urls"]["self"])).json()
    assert (done["status"], done["jobs"][1]["error"]) == ("partial", "execution_error")


async def test_a_batch_is_cancelled_as_a_whole(gate: Gate) -> None:
    made = await batch(gate.alice)
    other = await submit(gate.alice)
    first = made["jobs"][0]["id"]
    await taken(gate, first)
    await gate.comfy.begin(first)
    await until(gate.app.services.tracker.running)
    assert (await gate.bob.post(made["urls"]["cancel"])).status_code == 404
    answer = (await gate.alice.post(made["urls"]["cancel"])).json()
    assert (answer["counts"]["canceled"], answer["counts"]["canceling"]) == (2, 1)
    assert len(gate.comfy.asked("POST", "/interrupt")) == 1
    await gate.comfy.end(first, interrupted=True)
    await until(lambda: gate.app.services.tracker.get(first) is None)
    await taken(gate, other)
    done = (await gate.alice.get(made["urls"]["self"])).json()
    assert (done["status"], done["counts"]["canceled"]) == ("canceled", 3)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({}, 422, "invalid_field"),
        ({"workflows": []}, 422, "invalid_field"),
        ({"workflows": [workflow()] * 6}, 422, "invalid_field"),
        ({"workflow": graph(), "inputs": [{"7": {"seed": 1}}]}, 422, "invalid_field"),
        ({"workflow": graph(), "inputs": [{"1": 5}]}, 422, "invalid_field"),
        ({"workflow": graph(), "inputs": ["x"]}, 422, "invalid_field"),
        ({"workflow": graph(), "inputs": [{}], "workflows": [graph()]}, 422, "invalid_field"),
        ({"workflows": [workflow(), {"1": {}}]}, 422, "invalid_workflow"),
        ({"workflows": [workflow(), workflow("../x")]}, 422, "invalid_workflow"),
        ({"workflows": [workflow()], "timeout_seconds": 0}, 422, "invalid_field"),
        ({"workflows": [workflow()], "timeout_seconds": 1e9}, 422, "invalid_field"),
        ({"workflows": [workflow()], "priority": "x"}, 422, "invalid_field"),
    ],
)
@pytest.mark.parametrize("overrides", [{"max_batch": 5}])
async def test_one_invalid_workflow_refuses_the_batch(gate: Gate, sent: dict[str, Any], status: int, code: str) -> None:
    answer = await gate.alice.post(PATH, json=sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert gate.rows("SELECT count(*) FROM jobs") == [(0,)]
    assert gate.app.services.tracker.of_owner(None) == []


@pytest.mark.parametrize("overrides", [{"max_queued_per_owner": 5, "max_queued_per_key": 4, "max_queued": 8}])
async def test_admission_is_all_or_nothing(gate: Gate) -> None:
    await batch(gate.alice)
    answer = await gate.alice.post(PATH, json=body(2))
    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
    assert "this key has 3 unfinished jobs" in answer.json()["detail"]
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    assert len(gate.app.services.tracker.of_owner("alice")) == 3
    await submit(gate.alice)
    assert (await gate.alice.post("/prompt", json={"prompt": workflow()})).status_code == 429
    await batch(gate.bob)
    assert (await gate.admin.post(PATH, json=body(2))).json()["code"] == "queue_full", "the limit over all users"


@pytest.mark.parametrize("overrides", [{"quotas": {"jobs": {"day": 2}}}])
async def test_a_batch_counts_against_the_quota_whole_or_not_at_all(gate: Gate) -> None:
    refused = await gate.alice.post(PATH, json=body(3))
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert gate.rows("SELECT count(*) FROM jobs") == gate.rows("SELECT count(*) FROM batches") == [(0,)]
    assert gate.app.services.tracker.of_owner("alice") == []
    assert (await gate.alice.post(PATH, json=body(2))).status_code == 201
    assert (await gate.alice.post("/prompt", json={"prompt": workflow()})).json()["code"] == "quota_exceeded"


async def test_repeating_a_request_with_its_key_returns_the_same_batch(gate: Gate) -> None:
    client = gate.alice
    answers = await asyncio.gather(
        *(client.post(PATH, json=body(), headers={"Idempotency-Key": "k"}) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    first = next(answer.json() for answer in answers if answer.status_code == 201)
    again = await client.post(PATH, json=body(), headers={"Idempotency-Key": "k"})
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (first["id"], "true")
    other = await client.post(PATH, json=body(2), headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reuse")
    assert gate.rows("SELECT count(*) FROM jobs") == [(3,)]
    assert len(gate.app.services.tracker.of_owner(None)) == 3
    assert (await batch(gate.bob, key="k"))["id"] != first["id"]


async def test_batches_are_listed_by_page_and_only_for_their_owner(gate: Gate) -> None:
    made = [(await batch(gate.alice, body(1)))["id"] for _ in range(3)]
    first = (await gate.alice.get(PATH, params={"limit": 2})).json()
    rest = (await gate.alice.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [found["id"] for found in first["batches"] + rest["batches"]] == made[::-1]
    assert (await gate.bob.get(PATH)).json() == {"batches": [], "next_cursor": None}
    assert (await gate.bob.get(f"{PATH}/{made[0]}")).status_code == 404
    assert (await gate.admin.get(f"{PATH}/{made[0]}")).status_code == 200


async def test_batches_and_time_limits_survive_a_restart(gate: Gate) -> None:
    made = await batch(gate.alice, body(2) | {"timeout_seconds": 7})
    await gate.app.stop()
    async with opened(gate.settings, gate.clock) as (app, *_):
        assert [job.timeout_ms for job in app.services.tracker.of_owner(None)] == [7000, 7000]
        assert [job.batch_id for job in app.services.tracker.of_owner(None)] == [made["id"]] * 2


async def test_a_job_can_set_its_time_limit(gate: Gate) -> None:
    sent = {"workflow": workflow(), "timeout_seconds": 5}
    job = (await gate.alice.post("/api/v2/jobs", json=sent)).json()["id"]
    await taken(gate, job)
    await gate.comfy.begin(job)
    await until(gate.app.services.tracker.running)
    gate.clock.advance(6)
    await gate.app.services.reconciler.reconcile()
    assert len(gate.comfy.asked("POST", "/interrupt")) == 1


async def test_positions_and_estimates_follow_from_similar_jobs(gate: Gate) -> None:
    slow, quick = graph(steps=20), graph(steps=2)
    for prompt, seconds in ((slow, 100), (quick, 10)):
        job = await submit(gate.alice, prompt=prompt)
        await taken(gate, job)
        await gate.comfy.begin(job)
        await until(gate.app.services.tracker.running)
        await gate.comfy.end(job, gpu_ms=seconds * 1000)
        await until(lambda: gate.app.services.tracker.get(job) is None)  # noqa: B023 - awaited at once
    jobs = [await submit(gate.alice, prompt=prompt) for prompt in (slow | {}, quick, graph(steps=20, seed=99))]
    queue = (await gate.alice.get("/api/gateway/jobs")).json()
    assert [entry["id"] for entry in queue["jobs"]] == jobs
    assert [entry["queue_position"] for entry in queue["jobs"]] == [1, 2, 3]
    assert [entry["queue_wait_seconds"] for entry in queue["jobs"]] == [0, 100, 110]
    assert [entry["estimated_seconds"] for entry in queue["jobs"]] == [100, 110, 210]
    assert (queue["queued"], (await gate.bob.get("/api/gateway/jobs")).json()["jobs"]) == (3, [])
    document = (await gate.alice.get(f"/api/v2/jobs/{jobs[2]}")).json()
    assert (document["queue_position"], document["queue_wait_seconds"]) == (3, 110)
    assert document["estimated_completion_at"] is not None


def test_similarity_depends_on_numbers_and_models_not_on_texts_and_seeds() -> None:
    base = graph(text="a cat", ckpt_name="a.safetensors")
    assert kind_of(base) == kind_of(graph(text="a dog", ckpt_name="a.safetensors", seed=7))
    assert kind_of(base) != kind_of(graph(text="a cat", ckpt_name="b.safetensors"))
    assert kind_of(base) != kind_of(graph(text="a cat", ckpt_name="a.safetensors", steps=21))


def test_estimates_follow_measured_durations() -> None:
    durations = Durations()
    durations.learn("a", 1000)
    assert durations.expected_ms("a") == 1000
    for _ in range(20):
        durations.learn("a", 2000)
    assert 1990 < durations.expected_ms("a") <= 2000
    assert durations.expected_ms("unknown") == pytest.approx(2000, rel=0.1)
