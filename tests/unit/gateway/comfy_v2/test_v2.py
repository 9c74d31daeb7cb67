"""The Comfy API v2: by its shapes, and with Comfy-Org's own client against the stand-in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from blake3 import blake3

from tests.unit.gateway.conftest import Gate, until, workflow
from tests.unit.gateway.fake import PNG
from tests.unit.gateway.file_references import reference

HASH = f"blake3:{blake3(PNG).hexdigest()}"


async def submit(
    client: httpx.AsyncClient, graph: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    answer = await client.post("/api/v2/jobs", json={"workflow": graph or workflow()}, headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def upload(
    client: httpx.AsyncClient, path: str = "photo.png", content: bytes = PNG, **data: str
) -> httpx.Response:
    fields = {"content_type": "image/png", "file_path": path} | data
    return await client.post("/api/v2/assets", files={"file": (path, content)}, data=fields)


async def test_a_job_from_submission_to_its_output(gate: Gate) -> None:
    job = await submit(gate.alice)
    assert (job["status"], job["queue_position"], job["outputs"], job["error"]) == ("queued", 1, [], None)
    await gate.comfy.begin(job["id"])
    await until(gate.app.services.tracker.running)
    running = (await gate.alice.get(job["urls"]["self"])).json()
    assert (running["status"], running["queue_position"]) == ("running", None)
    assert (running["progress"]["step"], running["progress"]["steps"]) == (1, 2)
    await gate.comfy.end(job["id"])
    done = (await gate.alice.get(job["urls"]["self"])).json()
    assert (done["status"], done["metrics"]["execution_ms"]) == ("succeeded", 1500)
    [output] = done["outputs"]
    assert (output["type"], output["size_bytes"], output["node_id"], output["job_id"]) == (
        "image",
        len(PNG),
        "9",
        job["id"],
    )
    content = await gate.alice.get(output["url"])
    assert (content.content, content.headers["content-type"]) == (PNG, "image/png")
    assert (await gate.alice.get(f"/api/v2/assets/{output['id']}")).json()["size_bytes"] == len(PNG)
    assert (await gate.alice.get(job["urls"]["self"] + "/workflow")).json() == {"workflow": workflow(), "format": "api"}


async def test_other_users_jobs_are_not_found(gate: Gate) -> None:
    job = await submit(gate.alice)
    asset = (await upload(gate.alice)).json()
    paths = [job["urls"][name] for name in ("self", "events")] + [f"/api/v2/assets/{asset['id']}"]
    for path in [*paths, f"/api/v2/jobs/{job['id']}/workflow", f"/api/v2/assets/{asset['id']}/content"]:
        answer = await gate.bob.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path
    assert (await gate.bob.post(job["urls"]["cancel"])).status_code == 404
    assert (await gate.bob.head(f"/api/v2/assets/by-hash/{HASH}")).status_code == 404
    answer = await gate.bob.post("/api/v2/assets/from-hash", json={"hash": HASH})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "blob_not_found")
    assert (await gate.bob.get("/api/v2/jobs")).json() == {"jobs": [], "next_cursor": None, "truncated": False}
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": reference(asset["id"])}}}
    answer = await gate.bob.post("/api/v2/jobs", json={"workflow": graph})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "missing_asset")
    assert gate.comfy.pending[0][1] == job["id"]
    assert (await gate.admin.get(paths[0])).status_code == 200


async def test_an_asset_can_replace_a_file_name(gate: Gate) -> None:
    answer = await upload(gate.alice, expected_hash=HASH)
    asset = answer.json()
    assert (answer.status_code, asset["hash"], asset["size_bytes"], asset["created_new"]) == (201, HASH, len(PNG), True)
    job = await submit(gate.alice, {"1": {"class_type": "LoadImage", "inputs": {"image": reference(asset["id"])}}})
    name = gate.comfy.submitted(job["id"])["prompt"]["1"]["inputs"]["image"]
    assert name.startswith("u/")
    assert name.endswith(f"/assets/{asset['id']}/photo.png"), "the name that ComfyUI gave it"
    missing = {"1": {"class_type": "LoadImage", "inputs": {"image": {"__type": "core/ASSET"}}}}
    assert (await gate.alice.post("/api/v2/jobs", json={"workflow": missing})).json()["code"] == "missing_asset"


async def test_an_output_can_be_the_input_of_the_next_job(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job["id"])
    await gate.comfy.end(job["id"])
    [output] = (await gate.alice.get(job["urls"]["self"])).json()["outputs"]
    second = await submit(gate.alice, {"1": {"class_type": "LoadImage", "inputs": {"image": reference(output["id"])}}})
    assert gate.comfy.submitted(second["id"])["prompt"]["1"]["inputs"]["image"].endswith("ComfyUI_00001_.png [output]")


async def test_known_content_need_not_be_uploaded_again(gate: Gate) -> None:
    first = (await upload(gate.alice)).json()
    assert (await gate.alice.head(f"/api/v2/assets/by-hash/{HASH}")).status_code == 200
    same = await gate.alice.post("/api/v2/assets/from-hash", json={"hash": HASH})
    assert (same.status_code, same.json()["id"]) == (200, first["id"])
    other = await gate.alice.post("/api/v2/assets/from-hash", json={"hash": HASH, "file_path": "other.png"})
    assert (other.status_code, other.json()["file_path"], other.json()["id"] != first["id"]) == (201, "other.png", True)


@pytest.mark.parametrize(
    ("path", "content", "data", "status"),
    [
        ("photo.png", PNG, {"expected_hash": "blake3:00"}, 409),
        ("models/checkpoints/x.safetensors", PNG, {}, 415),
        ("photo.png", b"<html>", {}, 415),
        ("../photo.png", PNG, {}, 422),
        ("/etc/photo.png", PNG, {}, 422),
        ("photo.png", PNG, {"file_path": ""}, 422),
    ],
)
async def test_invalid_uploads_are_refused(
    gate: Gate, path: str, content: bytes, data: dict[str, str], status: int
) -> None:
    answer = await upload(gate.alice, path, content, **data)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "details"}
    assert gate.comfy.seen == []


async def test_a_repeated_request_with_an_idempotency_key_is_one_job(gate: Gate) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await submit(gate.alice, headers=key)
    again = await gate.alice.post("/api/v2/jobs", json={"workflow": workflow()}, headers=key)
    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    assert again.headers["idempotency-replayed"] == "true"
    other = await gate.alice.post("/api/v2/jobs", json={"workflow": workflow("other")}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reuse")
    assert (await submit(gate.bob, headers=key))["id"] != first["id"], "an idempotency key belongs to its owner"
    gate.clock.advance(86_401)
    assert (await submit(gate.alice, headers=key))["id"] != first["id"]


async def test_parallel_requests_with_an_idempotency_key_make_one_job(gate: Gate) -> None:
    key = {"Idempotency-Key": "k1"}
    client = gate.alice
    requests = [client.post("/api/v2/jobs", json={"workflow": workflow()}, headers=key) for _ in range(10)]
    answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(gate.comfy.asked("POST", "/prompt")) == 1


async def test_a_refused_request_may_be_repeated(gate: Gate) -> None:
    gate.comfy.prompt_answer = (400, {"error": {"type": "x", "message": "no", "details": ""}, "node_errors": {"9": {}}})
    body, key = {"workflow": workflow()}, {"Idempotency-Key": "k1"}
    answer = await gate.alice.post("/api/v2/jobs", json=body, headers=key)
    assert (answer.status_code, answer.json()["error"]["details"]["node_errors"]) == (422, {"9": {}})
    gate.comfy.prompt_answer = None
    assert (await submit(gate.alice, headers=key))["status"] == "queued"


async def test_cancelling_a_waiting_a_running_and_a_finished_job(gate: Gate) -> None:
    first, second = await submit(gate.alice), await submit(gate.alice)
    # The second job is being submitted to ComfyUI while it is cancelled.
    await gate.comfy.begin(first["id"])
    assert (await gate.alice.post(second["urls"]["cancel"])).json()["status"] == "canceled"
    assert (await gate.alice.post(first["urls"]["cancel"])).json()["status"] == "canceling"
    assert json.loads(gate.comfy.asked("POST", "/interrupt")[0].body) == {"prompt_id": first["id"]}
    await gate.comfy.end(first["id"])
    assert (await gate.alice.post(first["urls"]["cancel"])).json()["status"] == "succeeded"


async def test_a_failed_job_names_the_node_and_no_path(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job["id"])
    error = {
        "exception_message": "CUDA out of memory at /a/b/c.py",
        "node_id": "9",
        "node_type": "SaveImage",
        "traceback": ["x"],
    }
    await gate.comfy.end(job["id"], error=error)
    told = (await gate.alice.get(job["urls"]["self"])).json()["error"]
    assert (told["code"], told["node_id"], told["class_type"]) == ("gpu_out_of_memory", "9", "SaveImage")
    assert (told["traceback"], "/a/b" in told["message"]) == (None, False)


async def test_the_list_of_jobs_is_paginated(gate: Gate) -> None:
    jobs = [(await submit(gate.alice))["id"] for _ in range(3)]
    first = (await gate.alice.get("/api/v2/jobs", params={"limit": 2})).json()
    rest = (await gate.alice.get("/api/v2/jobs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == jobs[::-1]
    assert rest["next_cursor"] is None
    for bad in ("0", "x", "-1", "101"):
        assert (await gate.alice.get("/api/v2/jobs", params={"limit": bad})).status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_workflow"),
        ({"workflow": {}}, 422, "invalid_workflow"),
        ({"workflow": 5}, 422, "invalid_workflow"),
        ({"workflow": {"nodes": []}}, 422, "workflow_format_ui"),
        ({"workflow": workflow(), "inputs": {"1": 2}}, 422, "invalid_workflow"),
        ({"workflow": workflow(), "webhook_url": "http://x"}, 422, "webhook_url_forbidden"),
        ({"workflow": workflow(), "extra_data": {"api_key_comfy_org": "x"}}, 400, "invalid_request"),
        ({"workflow": workflow(), "priority": "high"}, 422, "invalid_request"),
        ({"workflow": workflow(), "priority": True}, 422, "invalid_request"),
        ({"workflow": workflow(), "priority": 1_000_001}, 422, "invalid_request"),
        ({"workflow": workflow(), "metadata": 5}, 422, "invalid_request"),
        ({"workflow": workflow(), "metadata": {"a": 1}}, 422, "invalid_request"),
        ({"workflow": workflow(), "metadata": "x" * 1025}, 422, "invalid_request"),
        ({"workflow": workflow(), "metadata": {"a": "x" * 1025}}, 422, "invalid_request"),
    ],
)
async def test_invalid_bodies_are_refused(gate: Gate, body: dict[str, Any], status: int, code: str) -> None:
    answer = await gate.alice.post("/api/v2/jobs", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert gate.comfy.pending == []


async def test_refused_credentials_have_the_comfy_apis_codes(gate: Gate) -> None:
    assert (await gate.client(None).get("/api/v2/jobs/x")).json()["error"]["code"] == "unauthorized"


async def frames(gate: Gate, port: int, job: dict[str, Any]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield a job's events as they arrive over a real connection."""
    headers = {"X-API-Key": gate.keyring.alice}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60) as client,
        client.stream("GET", job["urls"]["events"]) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


async def test_a_jobs_events_end_with_its_outputs_and_final_status(gate: Gate, port: int) -> None:
    job = await submit(gate.alice)
    seen: list[tuple[str, dict[str, Any]]] = []
    async for name, data in frames(gate, port, job):
        seen.append((name, data))
        if len(seen) == 1:
            await gate.comfy.begin(job["id"])
            await gate.comfy.preview(job["id"])
            await gate.comfy.end(job["id"])
    assert seen[0] == ("status", {"status": "queued", "queue_position": 1})
    assert {name for name, _ in seen} == {"status", "progress", "preview", "output"}
    assert seen[-1] == ("status", {"status": "succeeded"})
    assert seen[-2][0] == "output"
    await until(lambda: not len(gate.app.services.open_streams))


async def test_a_finished_job_has_its_last_events_only(gate: Gate, port: int) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job["id"])
    await gate.comfy.end(job["id"])
    await until(lambda: gate.app.services.tracker.get(job["id"]) is None)
    assert [name async for name, _ in frames(gate, port, job)] == ["output", "status"]


@pytest.mark.parametrize("overrides", [{"keep_alive_seconds": 0.05}])
async def test_a_disconnected_listener_is_removed(gate: Gate, port: int) -> None:
    job = await submit(gate.alice)
    headers = {"X-API-Key": gate.keyring.alice}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60
    ) as client:
        async with client.stream("GET", job["urls"]["events"]) as answer:
            async for line in answer.aiter_lines():
                if line.startswith(": keep-alive"):
                    break
        await until(lambda: not len(gate.app.services.open_streams))


async def listed(client: httpx.AsyncClient, **query: str | int) -> list[str]:
    """Return the ids of all pages."""
    ids: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = (await client.get("/api/v2/jobs", params=query | ({"cursor": cursor} if cursor else {}))).json()
        ids += [job["id"] for job in answer["jobs"]]
        cursor = answer["next_cursor"]
    return ids


async def test_jobs_are_filtered_by_status_and_label(gate: Gate) -> None:
    async def labelled(metadata: object) -> str:
        answer = await gate.alice.post("/api/v2/jobs", json={"workflow": workflow(), "metadata": metadata})
        assert answer.json()["metadata"] == metadata
        return str(answer.json()["id"])

    seven, eight = await labelled({"shoot": "7", "take": "1"}), await labelled({"shoot": "8"})
    opaque, bare = await labelled("shoot 7"), (await submit(gate.alice))["id"]
    await gate.alice.post(f"/api/v2/jobs/{bare}/cancel")
    assert await listed(gate.alice, **{"metadata[shoot]": "7"}) == [seven]
    assert await listed(gate.alice, **{"metadata[shoot]": "7", "metadata[take]": "2"}) == []
    assert await listed(gate.alice, status="canceled") == [bare]
    assert await listed(gate.alice, status="queued,running", limit=1) == [opaque, eight, seven]
    assert await listed(gate.alice, status="expired") == []
    assert (await gate.alice.get("/api/v2/jobs", params={"status": "asleep"})).status_code == 400
    assert "metadata" not in (await gate.alice.get(f"/api/v2/jobs/{bare}")).json()


@pytest.mark.parametrize("internal", [{"max_scanned_jobs": 2}])
async def test_a_filter_with_few_matches_continues_on_the_next_page(gate: Gate) -> None:
    first = (await gate.alice.post("/api/v2/jobs", json={"workflow": workflow(), "metadata": {"a": "1"}})).json()["id"]
    for _ in range(5):
        await submit(gate.alice)
    page = (await gate.alice.get("/api/v2/jobs", params={"metadata[a]": "1", "limit": 2})).json()
    assert (page["jobs"], page["truncated"], page["next_cursor"] is None) == ([], True, False)
    assert await listed(gate.alice, limit=2, **{"metadata[a]": "1"}) == [first]


async def test_a_deleted_asset_is_not_found(gate: Gate) -> None:
    asset = (await upload(gate.alice)).json()
    path = f"/api/v2/assets/{asset['id']}"
    assert (await gate.bob.delete(path)).status_code == 404
    assert (await gate.alice.delete(path)).status_code == 204
    for answer in (await gate.alice.delete(path), await gate.alice.get(path), await gate.alice.get(f"{path}/content")):
        assert answer.status_code == 404
    again = (await upload(gate.alice)).json()
    assert (again["created_new"], again["id"] != asset["id"]) == (True, True)


async def test_the_same_content_is_one_asset(gate: Gate) -> None:
    first = (await upload(gate.alice)).json()
    again = await upload(gate.alice)
    assert (again.status_code, again.json()["id"], again.json()["created_new"]) == (200, first["id"], False)
    other = await upload(gate.alice, "other.png")
    assert (other.status_code, other.json()["id"] != first["id"], other.json()["created_new"]) == (201, True, False)
    assert len(gate.comfy.asked("POST", "/upload/image")) == 1
    assert (await upload(gate.bob)).json()["created_new"] is True, "uploads of others are not visible"
