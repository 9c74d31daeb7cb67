"""Failures that ComfyUI did not report are reported to the jobs' clients."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.jobs.missed_ends import MAX_FAULTS
from tests.unit.gateway.conftest import Gate, finish, lose, submit, taken, until, workflow
from tests.unit.gateway.websocket_client import expect_nothing, open_websocket, receive_until

FAULT = {"type": "value_not_in_list", "message": "Value not in list", "details": "sampler_name: 'nope'"}
NODE_ERRORS = {"9": {"errors": [FAULT], "dependent_outputs": ["9"], "class_type": "SaveImage"}}
REFUSAL = {
    "error": {
        "type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": "",
        "extra_info": {},
    },
    "node_errors": NODE_ERRORS,
}  # fmt: skip


async def refused_later(gate: Gate, client: httpx.AsyncClient, answer: tuple[int, Any] = (400, REFUSAL)) -> str:
    """Submit a job that ComfyUI refuses on dispatch; return its id after the refusal."""
    first, second = await submit(gate.alice), await submit(gate.alice)
    await taken(gate, first)
    job = await submit(client, client_id="one")
    await taken(gate, first)
    await gate.comfy.begin(first)
    await taken(gate, second)
    gate.comfy.prompt_answer = answer
    await gate.comfy.end(first)
    await gate.comfy.begin(second)
    await until(lambda: gate.app.services.tracker.get(job) is None)
    return job


async def test_a_late_refusal_is_in_the_history(gate: Gate) -> None:
    job = await refused_later(gate, gate.alice)
    assert gate.rows(f"SELECT state, gpu_ms FROM jobs WHERE id = '{job}'") == [("rejected", 0)]  # noqa: S608 - our id
    entry = (await gate.alice.get(f"/history/{job}")).json()[job]
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    [[name, told]] = entry["status"]["messages"]
    assert (name, told["prompt_id"], told["node_id"], told["node_type"]) == ("execution_error", job, "9", "SaveImage")
    assert told["node_errors"] == NODE_ERRORS
    assert "Value not in list (sampler_name: 'nope')" in told["exception_message"]
    assert (entry["outputs"], entry["prompt"][1:4]) == ({}, [job, workflow(), {"client_id": "one"}])
    assert job in (await gate.alice.get("/history")).json()
    assert (await gate.bob.get(f"/history/{job}")).json() == {}


async def test_a_late_refusal_is_sent_to_the_websocket(gate: Gate, port: int) -> None:
    token = gate.keyring.alice
    async with open_websocket(port, token, "one") as one, open_websocket(port, token, "two") as two:
        refusing = asyncio.create_task(refused_later(gate, gate.alice))
        told = (await receive_until(one, "execution_error"))[-1]["data"]
        end = (await receive_until(one, "executing"))[-1]["data"]
        job = await refusing
        while end["prompt_id"] != job:
            end = (await receive_until(one, "executing"))[-1]["data"]
        assert (told["prompt_id"], told["node_errors"]) == (job, NODE_ERRORS)
        assert end == {"node": None, "prompt_id": job}
        others = await receive_until(two, "executing")
    assert "execution_error" not in {message["type"] for message in others}


async def test_a_late_refusal_is_in_the_other_interfaces(gate: Gate) -> None:
    job = await refused_later(gate, gate.alice)
    error = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["error"]
    assert (error["code"], error["node_id"], error["class_type"]) == ("invalid_workflow", "9", "SaveImage")
    assert error["node_errors"] == NODE_ERRORS
    listed = (await gate.alice.get("/api/v2/jobs", params={"status": "failed"})).json()["jobs"]
    assert [one["error"]["node_errors"] for one in listed] == [NODE_ERRORS]
    newer = (await gate.alice.get(f"/api/jobs/{job}")).json()
    assert (newer["status"], newer["execution_error"]["node_errors"]) == ("failed", NODE_ERRORS)


async def test_an_immediate_refusal_is_in_v2_but_not_in_the_history(gate: Gate, port: int) -> None:
    gate.comfy.prompt_answer = (400, REFUSAL)
    async with open_websocket(port, gate.keyring.alice, "one") as one:
        assert (await gate.alice.post("/prompt", json={"prompt": workflow(), "client_id": "one"})).status_code == 422
        await expect_nothing(one)
    [(job,)] = gate.rows("SELECT id FROM jobs")
    assert (await gate.alice.get("/history")).json() == (await gate.alice.get(f"/history/{job}")).json() == {}
    assert (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["error"]["node_errors"] == NODE_ERRORS


@pytest.mark.parametrize("nodes", [None, [], {}, {"9": None}, {"9": {"errors": {}}}, {"9": {"errors": ["x", {}]}}])
async def test_a_refusal_without_details_is_reported(gate: Gate, nodes: object) -> None:
    job = await refused_later(gate, gate.alice, (400, {"error": REFUSAL["error"], "node_errors": nodes}))
    [[_, told]] = (await gate.alice.get(f"/history/{job}")).json()[job]["status"]["messages"]
    assert told["exception_message"].startswith("Prompt outputs failed validation")


async def test_an_error_message_names_some_faults_and_its_data_all(gate: Gate) -> None:
    nodes = {str(number): {"errors": [FAULT], "class_type": "X"} for number in range(50)}
    job = await refused_later(gate, gate.alice, (400, REFUSAL | {"node_errors": nodes}))
    [[_, told]] = (await gate.alice.get(f"/history/{job}")).json()[job]["status"]["messages"]
    assert told["exception_message"].count("Value not in list") == MAX_FAULTS
    assert told["node_errors"] == nodes


async def test_a_lost_job_is_in_the_history_and_sent_to_the_websocket(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice, "one") as one:
        job = await submit(gate.alice, client_id="one")
        for _ in range(2):
            await lose(gate, job)
        told = (await receive_until(one, "execution_error"))[-1]["data"]
        assert (told["prompt_id"], told["exception_type"]) == (job, failure_codes.LOST)
        assert (await receive_until(one, "executing"))[-1]["data"]["prompt_id"] == job
    entry = (await gate.alice.get(f"/history/{job}")).json()[job]
    assert entry["status"]["messages"][0][1]["exception_message"] == failure_codes.TEXTS[failure_codes.LOST]
    assert (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["error"]["message"] == failure_codes.TEXTS[
        failure_codes.LOST
    ]


async def test_an_end_reported_by_comfyui_is_sent_once(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice, "one") as one:
        job = await submit(gate.alice, client_id="one")
        await finish(gate, job, error={"exception_message": "no"})
        types = [message["type"] for message in await receive_until(one, "executing")]
    assert types.count("execution_error") == 1
