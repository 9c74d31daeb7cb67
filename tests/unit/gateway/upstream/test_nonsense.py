"""A ComfyUI with malformed responses: clients get an error, and every job still ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.upstream.client import UpstreamLimits
from provisioning.gateway.upstream.node_catalogue import FRESH_SECONDS
from tests.unit.gateway.conftest import Gate, finish, submit, taken, until
from tests.unit.gateway.fake import PNG
from tests.unit.gateway.problems import code

GRAPH = {"1": {"class_type": "X", "inputs": {}}}
JSON, HTML = "application/json", "text/html"
NOTHING = {
    "a page": (HTML, b"<html>504 Gateway Time-out</html>"), "a page that says it is JSON": (JSON, b"<html></html>"),
    "half": (JSON, b'{"queue_running": [[0, "a'), "nothing": (JSON, b""), "null": (JSON, b"null"),
    "a number": (JSON, b"5"),
    "text": (JSON, b'"secret"'), "a list": (JSON, b"[[1, 2]]"), "no UTF-8": (JSON, b'{"a": "\xff"}'),
    "too deep": (JSON, b'{"a":' * 2000 + b"1" + b"}" * 2000),
}  # fmt: skip
"""Responses that are malformed for every request."""
QUEUES = NOTHING | {
    "no lists": (JSON, b'{"queue_running": {}, "queue_pending": "x"}'), "empty": (JSON, b"{}"),
    "half of it": (JSON, b'{"queue_running": []}'),
    "short entries": (JSON, b'{"queue_running": [[1]], "queue_pending": []}'),
    "entries of text": (JSON, b'{"queue_running": ["ab"], "queue_pending": []}'),
    "ids of numbers": (JSON, b'{"queue_running": [], "queue_pending": [[1, 2, {}, {}, []]]}'),
    "null": (JSON, b'{"queue_running": null, "queue_pending": null}'),
}  # fmt: skip


async def test_a_malformed_queue_is_an_error_and_loses_no_job(gate: Gate) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)
    for name, answer in QUEUES.items():
        gate.comfy.nonsense = {"/queue": answer}
        shown = (await gate.alice.get("/queue")).json()["queue_pending"]
        assert [item[1] for item in shown] == [job], f"{name}: our own record is shown"
        assert code(await gate.alice.post("/interrupt", json={})) == (502, "upstream_error"), name
        assert (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["status"] == "queued", f"{name}: what is known"
        await gate.app.services.reconciler.reconcile()
        assert gate.rows("SELECT state, attempts FROM jobs") == [("dispatching", 1)], (
            f"{name}: it is not taken for lost"
        )
    gate.comfy.nonsense = {}
    await finish(gate, job)
    assert gate.rows("SELECT state FROM jobs") == [("completed",)]


async def test_a_malformed_history_ends_no_job(gate: Gate) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)
    gate.comfy.nonsense = {"/history": NOTHING["half"]}
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    for name, answer in NOTHING.items():
        gate.comfy.nonsense = {"/history": answer}
        assert (await gate.alice.get(f"/history/{job}")).json() == {}, f"{name}: not finished, as far as is known"
        await gate.app.services.reconciler.reconcile()
        assert gate.rows("SELECT finished_at FROM jobs") == [(None,)], name
    gate.comfy.nonsense = {}
    await gate.app.services.reconciler.reconcile()
    assert gate.rows("SELECT state FROM jobs") == [("completed",)]


GOOD: dict[str, Any] = {
    "status_str": "success",
    "completed": True,
    "messages": [["execution_success", {"timestamp": 1}]],
}
ENTRIES: dict[str, Any] = {
    "text": "x", "a list": [1], "a number": 5, "empty": {}, "no status": {"outputs": {}},
    "null for a status": {"status": None},
    "text for a status": {"status": "success"}, "no word": {"status": {"messages": []}},
    "another word": {"status": {"status_str": "fine"}},
    "numbers for messages": {"status": {"status_str": "success", "messages": [5]}},
    "text for messages": {"status": {"status_str": "success", "messages": "abc"}},
    "short messages": {"status": {"status_str": "success", "messages": [["execution_start"]]}},
    "lists for names": {"status": {"status_str": "success", "messages": [[[], {}]]}},
    "text for outputs": {"status": GOOD, "outputs": "x"}, "a list of outputs": {"status": GOOD, "outputs": [1]},
    "very deep": {"status": GOOD, "outputs": json.loads('{"a":' * 400 + "1" + "}" * 400)},
}  # fmt: skip


async def test_a_malformed_history_entry_fails_the_job(gate: Gate) -> None:
    for name, entry in ENTRIES.items():
        job = await submit(gate.alice)
        await taken(gate, job)
        await gate.comfy.begin(job)
        await until(gate.app.services.tracker.running)
        gate.comfy.running.clear()
        gate.comfy.history[job] = entry
        gate.clock.advance(7)
        assert (await gate.alice.get(f"/history/{job}")).status_code == 200, name
        rows = gate.rows(f"SELECT state, error FROM jobs WHERE id = '{job}'")  # noqa: S608
        assert rows == [("failed", failure_codes.UNREADABLE)], name
        shown = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()
        assert (shown["status"], shown["error"]["message"]) == (
            "failed",
            failure_codes.TEXTS[failure_codes.UNREADABLE],
        ), name
    other = await submit(gate.alice)
    await finish(gate, other)
    assert (await gate.alice.get(f"/api/v2/jobs/{other}")).json()["status"] == "succeeded", "the queue continues"


TIMES = {"text": "soon", "a list": [], "true": True, "negative": -5, "infinite": 1e300, "an object": {}, "null": None}


async def test_implausible_times_are_ignored(gate: Gate) -> None:
    for name, time in TIMES.items():
        job = await submit(gate.alice)
        await taken(gate, job)
        gate.comfy.pending.clear()
        messages = [["execution_start", {"timestamp": time}], ["execution_success", {"timestamp": time}]]
        gate.comfy.history[job] = {"status": {"status_str": "success", "messages": messages}, "outputs": {}}
        assert job in (await gate.alice.get(f"/history/{job}")).json(), name
    assert gate.rows("SELECT DISTINCT state, gpu_ms FROM jobs") == [("completed", 0)]


async def test_a_malformed_answer_to_a_prompt_leaves_the_job_tracked(gate: Gate) -> None:
    for name, answer in NOTHING.items():
        gate.comfy.nonsense = {"/prompt": answer}
        told = await gate.alice.post("/prompt", json={"prompt": GRAPH})
        assert code(told) == (502, "upstream_error"), name
        gate.comfy.nonsense = {}
        for _ in range(3):
            await gate.app.services.reconciler.reconcile()
            for item in list(gate.comfy.pending):
                await finish(gate, item[1])
            await until(lambda: gate.comfy.pending or not gate.app.services.tracker.of_owner(None))
        assert gate.rows("SELECT count(*) FROM jobs WHERE finished_at IS NULL") == [(0,)], name


REFUSALS: list[Any] = [
    {"error": "x", "node_errors": "y"},
    {"error": [1], "node_errors": [2]},
    {"error": {"message": {}}},
    [1],
    "x",
    None,
    5,
]


async def test_a_malformed_refusal_is_still_a_refusal(gate: Gate) -> None:
    for status, expected in ((400, 422), (500, 502)):
        for answer in REFUSALS:
            gate.comfy.prompt_answer = (status, answer)
            told = await gate.alice.post("/prompt", json={"prompt": GRAPH})
            assert told.status_code == expected, answer
            assert isinstance(told.json().get("node_errors", {}), dict), answer


SHARED = (
    "/models",
    "/models/loras",
    "/embeddings",
    "/features",
    "/extensions",
    "/i18n",
    "/global_subgraphs",
    "/system_stats",
)


async def test_shared_responses_are_json_or_an_error(gate: Gate) -> None:
    for name in ("a page", "a page that says it is JSON", "half", "no UTF-8"):
        gate.comfy.nonsense = dict.fromkeys(SHARED, NOTHING[name])
        for path in SHARED:
            assert code(await gate.admin.get(path)) == (502, "upstream_error"), (path, name)


async def test_malformed_node_classes_are_an_error(gate: Gate) -> None:
    for name, answer in NOTHING.items():
        gate.comfy.nonsense = {"/object_info": answer}
        for path in ("/object_info", "/object_info/SaveImage"):
            assert code(await gate.alice.get(path)) == (502, "upstream_error"), name
        assert code(await gate.alice.post("/prompt", json={"prompt": GRAPH}))[0] == 502, name


INFOS = ['{"A": 5}', '{"A": {"input": 5}}', '{"A": {"input": {"required": [1]}}}',
'{"A": {"input": {"required": {"a": "b"}}}}',
         '{"A": {"input": {"required": {"a": [[], 5]}}}}',
         '{"A": {"input": {"required": {"a": [5, {"options": 5}]}}}}']  # fmt: skip


async def test_a_malformed_node_class_does_not_block_others(gate: Gate) -> None:
    for text in INFOS:
        gate.comfy.nonsense = {"/object_info": (JSON, text.encode())}
        gate.clock.advance(FRESH_SECONDS + 1)
        assert (await gate.alice.get("/object_info")).status_code == 200, text
        await finish(gate, await submit(gate.alice))


async def test_an_unconfirmed_upload_is_an_error(gate: Gate) -> None:
    form = {"file_path": "a.png", "content_type": "image/png"}
    for name, answer in NOTHING.items():
        gate.comfy.nonsense = {"/upload": answer}
        told = await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
        assert code(told) == (502, "upstream_error"), name
        kept = await gate.alice.post("/api/v2/assets", data=form, files={"file": ("a.png", PNG)})
        assert (kept.status_code, gate.rows("SELECT count(*) FROM assets")) == (502, [(0,)]), name


@pytest.mark.parametrize("upstream_limits", [UpstreamLimits(json_bytes=1000)])
async def test_a_response_above_the_size_limit_is_aborted(gate: Gate) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)
    for path in ("/queue", "/object_info", "/history"):
        gate.clock.advance(FRESH_SECONDS + 1)
        gate.comfy.nonsense = {path: (JSON, b'{"a": "' + b"x" * 2000 + b'"}')}
        if path == "/history":
            assert (await gate.alice.get(f"/history/{job}")).json() == {}
        elif path == "/queue":
            assert code(await gate.alice.post("/interrupt", json={})) == (502, "upstream_error")
        else:
            assert code(await gate.alice.get(path)) == (502, "upstream_error"), path


@pytest.mark.parametrize("overrides", [{"job_timeout_seconds": 60}])
async def test_a_job_without_any_report_still_ends(gate: Gate) -> None:
    """ComfyUI accepted the job and then returns malformed responses for longer than the time limit."""
    job = await submit(gate.alice)
    await taken(gate, job)
    gate.comfy.nonsense = {"/queue": NOTHING["a page"], "/history": NOTHING["a page"], "/interrupt": NOTHING["a page"]}
    for _ in range(5):
        await gate.app.services.reconciler.reconcile()
        gate.clock.advance(31)
    assert gate.rows("SELECT state, error FROM jobs") == [("failed", failure_codes.JOB_TIMEOUT)]
    assert gate.app.services.scheduler.breaker.is_open, "a restart of ComfyUI is requested"


@pytest.mark.parametrize("overrides", [{"job_timeout_seconds": 60}])
async def test_a_valid_response_restarts_the_time_limit(gate: Gate) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)
    for _ in range(5):
        gate.comfy.nonsense = {"/queue": NOTHING["half"], "/history": NOTHING["half"]}
        await gate.app.services.reconciler.reconcile()
        gate.clock.advance(50)
        gate.comfy.nonsense = {}
        await gate.app.services.reconciler.reconcile()
    assert gate.rows("SELECT state FROM jobs") == [("dispatching",)]
