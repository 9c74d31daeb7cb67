"""Faults of ComfyUI, of clients and of the database."""

from __future__ import annotations

import asyncio
import json
import struct

import httpx
import pytest

from tests.unit.gateway.conftest import Gate, submit, until
from tests.unit.gateway.fake import PNG
from tests.unit.gateway.websocket_client import open_websocket, receive_until


@pytest.mark.parametrize("overrides", [{"deadline_seconds": 0.1}])
async def test_responses_of_comfyui_time_out(gate: Gate) -> None:
    gate.comfy.hang = True
    answer = await gate.alice.get("/models")
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")


async def test_truncated_responses_are_errors(gate: Gate, port: int) -> None:
    gate.comfy.hang = True
    gate.comfy.files["output", "", "x.png"] = (PNG * 1000, "image/png")
    headers = {"X-API-Key": gate.keyring.admin}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60
    ) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/view?filename=x.png")


async def test_the_websocket_to_comfyui_reconnects(gate: Gate) -> None:
    [first] = gate.comfy.sockets.values()
    label = gate.app.services.dispatch.client_id
    await first.close()
    await until(lambda: gate.comfy.sockets.get(label) not in {None, first})
    await until(lambda: gate.app.services.comfyui_listener.connected)
    assert (await gate.alice.get("/readyz")).json() == {"status": "ready"}


NONSENSE: list[str | bytes] = [
    "", "{", "[]", "null", '{"type": 5, "data": {}}', '{"type": "executing"}', '{"type": "executed", "data": {}}', b"",
    b"\0", struct.pack(">II", 4, 99), struct.pack(">II", 4, 2) + b"{}", struct.pack(">II", 4, 2) + b"[]",
    struct.pack(">I", 9),
    '{"type": "logs", "data": {"entries": ["secret"]}}', '{"type": "crystools.monitor", "data": {"prompt_id": "JOB"}}',
    '{"type": "execution_start", "data": {"prompt_id": "JOB", "timestamp": "soon"}}',
]  # fmt: skip


async def test_malformed_messages_from_comfyui_are_ignored(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice) as alice:
        job = await submit(gate.alice)
        for message in NONSENSE:
            await gate.comfy.say(message.replace("JOB", job) if isinstance(message, str) else message)
        await gate.comfy.begin(job)
        await gate.comfy.end(job)
        messages = await receive_until(alice, "executing")
    types = {message["type"] if isinstance(message, dict) else "binary" for message in messages}
    assert not types & {"logs", "crystools.monitor", "binary"}


async def test_messages_without_a_job_id_go_to_the_running_jobs_owner(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice) as alice, open_websocket(port, gate.keyring.bob) as bob:
        job, other = await submit(gate.alice), await submit(gate.bob)
        root = gate.comfy.submitted(job)["prompt"]["9"]["inputs"]["filename_prefix"].partition(f"/{job}")[0]
        await gate.comfy.say(struct.pack(">I", 3) + b"before anything runs")
        await gate.comfy.begin(job)
        await gate.comfy.say(struct.pack(">II", 3, 1) + f"9saved {root}/a.png".encode())
        await gate.comfy.end(job)
        texts = [message for message in await receive_until(alice, "executing") if isinstance(message, bytes)]
        await gate.comfy.begin(other)
        await gate.comfy.end(other)
        assert not any(isinstance(message, bytes) for message in await receive_until(bob, "executing"))
    assert texts == [struct.pack(">II", 3, 1) + b"9saved a.png"]


@pytest.mark.parametrize("overrides", [{"max_requests_per_owner": 2}])
async def test_concurrent_requests_per_user_are_limited(gate: Gate) -> None:
    gate.comfy.hang = True
    waiting = [asyncio.create_task(gate.alice.get(path)) for path in ("/models", "/embeddings")]
    await until(lambda: gate.comfy.asked("GET", "/models") and gate.comfy.asked("GET", "/embeddings"))
    answer = await gate.alice.get("/queue")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
        429,
        "concurrency_limited",
        "1",
    )
    assert (await gate.bob.get("/queue")).status_code == 200
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (await gate.alice.get("/queue")).status_code == 200


async def test_the_body_of_an_unauthenticated_request_is_not_waited_for(gate: Gate) -> None:
    answer = await gate.client(None).post("/upload/image", content=b"x" * 1000)
    assert answer.status_code == 401


async def test_deeply_nested_json_is_refused(gate: Gate) -> None:
    for depth, status in ((60, 200), (70, 422), (900, 422), (100_000, 400)):
        graph = '{"prompt": {"1": {"class_type": "X", "inputs": {"a": ' + "[" * (depth - 4) + "]" * (depth - 4) + "}}}}"
        answer = await gate.alice.post("/prompt", content=graph)
        assert answer.status_code == status, depth


async def test_old_jobs_are_deleted_and_their_usage_is_kept(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    assert job in (await gate.alice.get(f"/history/{job}")).json()
    await gate.ledger.flush()
    await gate.ledger.prune(gate.clock.now_ms() + 86_400_000)
    assert (await gate.alice.get("/history")).json() == {}
    assert gate.rows("SELECT count(*) FROM assets") == [(0,)]
    assert gate.rows("SELECT state, gpu_ms, length(workflow) FROM jobs") == [("completed", 1500, 0)]


async def test_every_code_of_the_catalogue_is_explained(gate: Gate) -> None:
    answer = (await gate.alice.get("/errors/rate_limited")).json()
    assert (answer["status"], answer["code"]) == (429, "rate_limited")
    assert (await gate.alice.get("/errors/nonsense")).status_code == 404


async def test_json_with_a_form_content_type_is_accepted(gate: Gate) -> None:
    body = json.dumps({"prompt": {"1": {"class_type": "X", "inputs": {}}}})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await gate.alice.post("/prompt", content=body, headers=headers)).status_code == 200


async def test_custom_nodes_code_is_not_listed_as_models(gate: Gate) -> None:
    assert (await gate.alice.get("/models/custom_nodes")).status_code == 404
