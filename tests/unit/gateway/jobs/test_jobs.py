from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import ComfyUIHttpClient
from tests.unit.gateway.conftest import Gate, finish, lose, opened, submit, taken, until, workflow
from tests.unit.gateway.fake import PNG


async def test_a_job_runs_and_its_owner_sees_the_result(gate: Gate) -> None:
    job = await submit(gate.alice)
    assert (await gate.alice.get(f"/history/{job}")).json() == {}
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    entry = (await gate.alice.get(f"/history/{job}")).json()[job]
    image = entry["outputs"]["9"]["images"][0]
    answer = await gate.alice.get("/view", params=image)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, PNG, "image/png")
    assert image["subfolder"] == job, "the owner's folder is hidden from the client"
    assert entry["prompt"][2] == workflow(), "a client gets its workflow unchanged"


async def test_only_the_graph_reaches_comfyui(gate: Gate) -> None:
    extra = {
        "number": -1,
        "front": True,
        "extra_data": {"x": 1},
        "partial_execution_targets": ["1"],
    }
    job = await submit(gate.alice, client_id="tab", **extra)
    body = gate.comfy.submitted(job)
    assert set(body) == {"prompt", "prompt_id", "client_id"}
    assert body["client_id"] not in {"tab", ""}


OWN_ID = "a3a01c1d-ae02-48cc-af5a-0e458feafd7a"


async def test_a_job_keeps_the_id_of_its_submitter(gate: Gate) -> None:
    assert await submit(gate.alice, prompt_id=OWN_ID) == OWN_ID
    assert gate.comfy.submitted(OWN_ID)["prompt_id"] == OWN_ID
    await finish(gate, OWN_ID)
    assert OWN_ID in (await gate.alice.get(f"/history/{OWN_ID}")).json()


async def test_repeating_a_workflow_with_its_id_returns_the_same_job(gate: Gate) -> None:
    answers = await asyncio.gather(*(submit(gate.alice, prompt_id=OWN_ID) for _ in range(5)))
    assert answers == [OWN_ID] * 5
    await finish(gate, OWN_ID)
    assert await submit(gate.alice, prompt_id=OWN_ID) == OWN_ID
    assert len(gate.comfy.asked("POST", "/prompt")) == 1
    assert gate.rows("SELECT count(*) FROM jobs") == [(1,)]


@pytest.mark.parametrize("over", [False, True])
async def test_an_id_of_any_other_job_is_refused(gate: Gate, over: bool) -> None:
    await submit(gate.alice, prompt_id=OWN_ID)
    if over:
        await finish(gate, OWN_ID)
    other = {"prompt": workflow("other"), "prompt_id": OWN_ID}
    answers = [await gate.alice.post("/prompt", json=other)]
    answers += [await gate.bob.post("/prompt", json=body) for body in (other, {**other, "prompt": workflow()})]
    said = [(answer.status_code, answer.json()["error"], answer.json()["node_errors"]) for answer in answers]
    assert said[0][0] == 400
    assert said[0][1]["type"] == "invalid_prompt_id"
    assert said == [said[0]] * 3, "the response does not reveal the job's owner"
    assert len(gate.comfy.asked("POST", "/prompt")) == 1


@pytest.mark.parametrize("given", ["mine", OWN_ID.upper(), f"{{{OWN_ID}}}", OWN_ID.replace("-", ""), "", 7, [OWN_ID]])
async def test_an_id_that_is_not_a_uuid_is_refused_in_comfyuis_form(gate: Gate, given: object) -> None:
    answer = await gate.alice.post("/prompt", json={"prompt": workflow(), "prompt_id": given})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_prompt_id"
    assert gate.comfy.asked("POST", "/prompt") == []


async def test_a_refused_workflow_is_refused_again_under_its_id(gate: Gate) -> None:
    error = {"type": "prompt_outputs_failed_validation", "message": "no", "details": "", "extra_info": {}}
    gate.comfy.prompt_answer = (400, {"error": error, "node_errors": {"9": {"errors": []}}})
    body = {"prompt": workflow(), "prompt_id": OWN_ID}
    answers = [await gate.alice.post("/prompt", json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [422, 422]


async def test_usage_is_measured_by_comfyuis_clock(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job)
    await gate.comfy.end(job, gpu_ms=2500)
    await gate.alice.get(f"/history/{job}")
    [(state, gpu_ms, micros, started, finished)] = gate.rows(
        "SELECT state, gpu_ms, usd_micros, started_at, finished_at FROM jobs"
    )
    assert (state, gpu_ms, finished - started) == ("completed", 2500, 2500)
    assert micros == 2500, "2.5 s at 3.6 $/h are 0.0025 $"
    rows = (await gate.alice.get("/api/gateway/usage")).json()["rows"]
    assert [(row["jobs"], row["gpu_ms"]) for row in rows] == [(1, 2500)]
    assert (await gate.bob.get("/api/gateway/usage")).json()["rows"] == []


async def test_requests_are_recorded_with_key_route_and_job(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.alice.get("/history/nobody")
    await gate.ledger.flush()
    rows = gate.rows("SELECT method, route, status, job_id FROM requests ORDER BY method DESC")
    assert rows == [("POST", "/prompt", 200, job), ("GET", "/history/{id}", 200, None)]


async def test_a_finished_job_survives_a_restart_of_comfyui(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    await gate.alice.get(f"/history/{job}")
    gate.comfy.history.clear()
    assert job in (await gate.alice.get("/history")).json()


async def test_a_job_lost_by_comfyui_fails(gate: Gate) -> None:
    job = await submit(gate.alice)
    await lose(gate, job)
    assert gate.rows("SELECT finished_at FROM jobs") == [(None,)], "it is sent to ComfyUI once more"
    await lose(gate, job)
    assert gate.rows("SELECT state, error, attempts FROM jobs") == [("failed", "upstream_lost", 2)]
    assert len(gate.comfy.asked("POST", "/prompt")) == 2
    entry = (await gate.alice.get(f"/history/{job}")).json()[job]
    assert (entry["status"]["status_str"], entry["outputs"]) == ("error", {})


async def test_unfinished_jobs_are_loaded_by_the_next_process(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.app.stop()
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    async with opened(gate.settings, gate.clock) as (app, *_):
        await app.services.tracker.reconcile()
    assert gate.rows("SELECT state FROM jobs") == [("completed",)]


async def test_settling_twice_counts_once(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    held = gate.app.services.tracker.find_recent(job)
    assert held is not None
    await asyncio.gather(*(gate.app.services.tracker.settle(held) for _ in range(10)))
    assert gate.rows("SELECT count(*), sum(gpu_ms) FROM jobs") == [(1, 1500)]
    assert gate.rows("SELECT count(*) FROM assets") == [(1,)]


async def test_node_errors_contain_no_traceback_and_no_paths(gate: Gate) -> None:
    job = await submit(gate.alice)
    error = {
        "exception_message": "no such file: /workspace/ComfyUI/models/x.safetensors",
        "exception_type": "FileNotFoundError",
        "traceback": ["File /workspace/ComfyUI/execution.py line 1"],
        "current_inputs": {"secret": ["other"]},
    }
    await gate.comfy.begin(job)
    await gate.comfy.end(job, error=error)
    text = (await gate.alice.get(f"/history/{job}")).text
    assert "no such file" in text
    assert not any(word in text for word in ("/workspace", "traceback", "current_inputs", "execution.py"))
    assert gate.rows("SELECT state, error FROM jobs") == [("failed", "execution_error")]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("CUDA out of memory", "gpu_out_of_memory"),
        ("CUDA error: illegal access", "gpu_fault"),
        ("x", "execution_error"),
    ],
)
async def test_gpu_faults_have_failure_codes(gate: Gate, message: str, reason: str) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job)
    await gate.comfy.end(job, error={"exception_message": message})
    await gate.alice.get(f"/history/{job}")
    assert gate.rows("SELECT error FROM jobs") == [(reason,)]


async def test_a_refused_workflow_is_explained_and_not_charged(gate: Gate) -> None:
    node_error = {"errors": [{"type": "value_not_in_list", "message": "m", "details": "d", "traceback": ["/a/b/c"]}]}
    error = {
        "type": "prompt_outputs_failed_validation",
        "message": "Prompt outputs failed",
        "details": "",
        "extra_info": {},
    }
    gate.comfy.prompt_answer = (400, {"error": error, "node_errors": {"9": node_error}})
    answer = await gate.alice.post("/prompt", json={"prompt": workflow()})
    body = answer.json()
    assert (answer.status_code, body["code"], body["error"]["type"]) == (422, "invalid_workflow", error["type"])
    assert body["node_errors"]["9"]["errors"][0]["type"] == "value_not_in_list"
    assert "traceback" not in answer.text
    assert gate.rows("SELECT state, gpu_ms FROM jobs") == [("rejected", 0)]


async def test_only_own_jobs_can_be_cancelled(gate: Gate) -> None:
    mine, theirs = await submit(gate.alice), await submit(gate.bob)
    waiting = await submit(gate.alice)
    await gate.alice.post("/queue", json={"delete": [mine, theirs]})
    await taken(gate, theirs)
    await gate.alice.post("/queue", json={"clear": True})
    assert [item[1] for item in gate.comfy.pending] == [theirs]
    states = sorted([(mine, "cancelled", 1), (theirs, "dispatching", 1), (waiting, "cancelled", 0)])
    assert sorted(gate.rows("SELECT id, state, attempts FROM jobs")) == states


async def test_only_own_jobs_can_be_interrupted(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job)
    for body in ({}, {"prompt_id": job}):
        assert (await gate.bob.post("/interrupt", json=body)).status_code == 200
    assert gate.comfy.asked("POST", "/interrupt") == []
    await gate.alice.post("/interrupt", json={})
    [seen] = gate.comfy.asked("POST", "/interrupt")
    assert orjson.loads(seen.body) == {"prompt_id": job}


async def test_the_queue_shows_only_own_jobs_in_comfyuis_format(gate: Gate) -> None:
    mine, theirs = await submit(gate.alice, prompt=workflow("mine")), await submit(gate.bob)
    queue = (await gate.alice.get("/queue")).json()
    assert [(item[1], item[2], len(item)) for item in queue["queue_pending"]] == [(mine, workflow("mine"), 5)]
    everything = (await gate.admin.get("/queue")).json()
    assert [item[1] for item in everything["queue_pending"]] == [mine, theirs]
    assert (await gate.alice.get("/prompt")).json() == {"exec_info": {"queue_remaining": 1}}


async def in_queue(gate: Gate, job: str) -> list[str]:
    """Return the lists of the queue that contain a job."""
    answer = await gate.alice.get("/queue")
    assert answer.status_code == 200, answer.text
    queue = answer.json()
    return [name for name, items in queue.items() if job in {item[1] for item in items}]


async def test_a_job_is_in_the_queue_during_its_dispatch(gate: Gate) -> None:
    gate.comfy.taking = asyncio.Event()
    submitting = asyncio.create_task(gate.alice.post("/prompt", json={"prompt": workflow()}))
    await until(lambda: gate.comfy.asked("POST", "/prompt"))
    [job] = [job.id for job in gate.app.services.tracker.of_owner(None)]
    assert await in_queue(gate, job) == ["queue_pending"]
    gate.comfy.taking.set()
    assert (await submitting).json()["prompt_id"] == job
    assert await in_queue(gate, job) == ["queue_pending"]
    await taken(gate, job)
    await gate.comfy.begin(job)
    await until(gate.app.services.tracker.running)
    assert await in_queue(gate, job) == ["queue_running"]
    assert gate.comfy.asked("GET", "/queue") == [], "ComfyUI is not asked: its answer is of another moment than ours"


async def test_a_job_is_always_in_the_queue_or_in_the_history(gate: Gate) -> None:
    jobs = [await submit(gate.alice) for _ in range(6)]
    lost: list[str] = []
    over = asyncio.Event()

    async def look() -> None:
        while not over.is_set():
            for job in jobs:
                if not await in_queue(gate, job) and not (await gate.alice.get(f"/history/{job}")).json():
                    lost.append(job)
                # Neither request uses a socket, so that nothing else here yields to other tasks.
                await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    for job in jobs:
        await finish(gate, job)
    over.set()
    await looking
    assert lost == []


async def test_clearing_the_history_affects_only_own_jobs_and_keeps_usage(gate: Gate) -> None:
    jobs = []
    for client in (gate.alice, gate.bob):
        jobs.append(await submit(client))
        await gate.comfy.begin(jobs[-1])
        await gate.comfy.end(jobs[-1])
        await client.get(f"/history/{jobs[-1]}")
    await gate.alice.post("/history", json={"delete": [jobs[1]]})
    await gate.alice.post("/history", json={"clear": True})
    assert (await gate.alice.get("/history")).json() == {}
    assert list((await gate.bob.get("/history")).json()) == [jobs[1]]
    assert gate.rows("SELECT count(*), sum(gpu_ms) FROM jobs") == [(2, 3000)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"[]", 400, "malformed_json"),
        (b"{}", 422, "invalid_workflow"),
        (b'{"prompt": {}}', 422, "invalid_workflow"),
        (b'{"prompt": {"nodes": [], "links": []}}', 422, "workflow_format_ui"),
        (b'{"prompt": {"1": {"inputs": {}}}}', 422, "invalid_workflow"),
        (b'{"prompt": {"1": {"class_type": "X"}}}', 422, "invalid_workflow"),
    ],
)
async def test_malformed_bodies_never_reach_comfyui(gate: Gate, body: bytes, status: int, code: str) -> None:
    answer = await gate.alice.post("/prompt", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert gate.comfy.asked("POST", "/prompt") == []


async def test_a_submission_fails_while_comfyui_is_away(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    await gate.app.services.catalogue.get()
    away = ComfyUIHttpClient("http://127.0.0.1:9")
    await away.start()
    monkeypatch.setattr(gate.app.services.scheduler._pool, "_upstream", away)
    answer = await gate.alice.post("/prompt", json={"prompt": workflow()})
    await away.close()
    monkeypatch.undo()
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
        503,
        "upstream_unavailable",
        "2",
    )
    assert gate.rows("SELECT state, error FROM jobs") == [("rejected", "upstream_unavailable")]


async def test_draining_refuses_new_jobs_and_answers_other_requests(gate: Gate) -> None:
    gate.app.drain()
    answer = await gate.alice.post("/prompt", json={"prompt": workflow()})
    assert (answer.status_code, answer.json()["code"]) == (503, "draining")
    assert (await gate.alice.get("/queue")).status_code == 200
    assert (await gate.alice.get("/readyz")).status_code == 503


@pytest.mark.parametrize("internal", [{"job_look_seconds": 0.1}])
@pytest.mark.parametrize("silent", [False, True])
async def test_a_job_is_shown_with_its_last_known_state_while_comfyui_is_away(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)

    back = asyncio.Event()

    async def away(_path: str) -> Any:  # noqa: ANN401 - ComfyUI's JSON
        if silent:
            await back.wait()
        raise Problem(Code.UPSTREAM_UNAVAILABLE)

    with monkeypatch.context() as patch:
        patch.setattr(gate.app.services.tracker._upstream, "get_json", away)
        shown = await gate.alice.get(f"/api/v2/jobs/{job}")
        assert (shown.status_code, shown.json()["status"]) == (200, "queued")
        assert (await gate.alice.get(f"/history/{job}")).json() == {}
        back.set()
