"""The stand-in goes wrong on request, and in the way the real one does."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.comfyui.conftest import Comfy, Workflow, events, small


def _with_node(fault: str) -> Workflow:
    prompt = small()
    inputs = {"images": ["8", 0], "fault": fault, "seconds": 1.0}
    prompt["20"] = {"class_type": "StandInFault", "inputs": inputs}
    prompt["9"]["inputs"]["images"] = ["20", 0]
    return prompt


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("fail", "ValueError", "asked to fail"),
        ("oom", "torch.OutOfMemoryError", "CUDA out of memory"),
        ("cuda", "torch.AcceleratorError", "CUDA error: an illegal memory access"),
        ("nonsense", "ValueError", "knows no fault 'nonsense'"),
    ],
)
async def test_a_marker_in_the_prompt_fails_the_sampler(comfy: Comfy, fault: str, kind: str, words: str) -> None:
    socket = await comfy.socket("me")
    prompt_id = await comfy.submit(small(f"a lighthouse [stand-in: {fault}]"), client_id="me")
    error = (await events(socket, "execution_error"))[-1]["data"]
    assert (error["prompt_id"], error["node_id"], error["node_type"]) == (prompt_id, "3", "KSampler")
    assert error["exception_type"] == kind
    assert words in error["exception_message"]
    assert any("nodes_sampling.py" in line for line in error["traceback"])
    assert error["current_inputs"]["seed"] == [1]
    assert set(error["executed"]) == {"4", "5", "6", "7"}
    assert (await events(socket, "executing"))[-1]["data"] == {"node": None, "prompt_id": prompt_id}
    assert (await comfy.result(prompt_id))["status"]["completed"] is False


async def test_the_node_fails_where_it_stands(comfy: Comfy) -> None:
    entry = await comfy.run(_with_node("oom"))
    event, error = entry["status"]["messages"][-1]
    assert (event, error["node_id"], error["node_type"]) == ("execution_error", "20", "StandInFault")
    assert "TIPS" in error["exception_message"]
    assert entry["outputs"] == {}


async def test_after_most_faults_the_next_job_runs(comfy: Comfy) -> None:
    for fault in ("fail", "oom"):
        await comfy.run(small(f"[stand-in: {fault}]"))
        assert (await comfy.run(small(seed=len(fault))))["status"]["completed"] is True


async def test_after_a_cuda_fault_every_job_fails(comfy: Comfy) -> None:
    await comfy.run(small("[stand-in: cuda]"))
    _, error = (await comfy.run(small(seed=9)))["status"]["messages"][-1]
    assert error["exception_type"] == "torch.AcceleratorError"


async def test_more_pixels_than_a_card_bears_are_out_of_memory(comfy: Comfy) -> None:
    prompt = small()
    prompt["5"]["inputs"] |= {"width": 8192, "height": 8192, "batch_size": 4}
    _, error = (await comfy.run(prompt))["status"]["messages"][-1]
    assert error["exception_type"] == "torch.OutOfMemoryError"


async def test_a_silent_job_is_in_the_history_alone(comfy: Comfy) -> None:
    socket = await comfy.socket("me")
    silent = await comfy.submit(small("[stand-in: silent]"), client_id="me")
    entry = await comfy.result(silent)
    assert entry["status"]["completed"] is True
    assert set(entry["outputs"]) == {"9"}
    after = await comfy.submit(small(seed=4), client_id="me")
    heard = await events(socket, "execution_success")
    assert heard[-1]["data"]["prompt_id"] == after
    of_silent = [event["type"] for event in heard if event["data"].get("prompt_id") == silent]
    assert "executed" not in of_silent
    assert "execution_success" not in of_silent


async def test_a_slow_job_takes_its_time_at_every_step(comfy: Comfy) -> None:
    entry = await comfy.run(small("[stand-in: slow 0.05]", steps=4))
    times = dict(entry["status"]["messages"])
    assert times["execution_success"]["timestamp"] - times["execution_start"]["timestamp"] >= 150


async def test_a_hanging_job_does_not_hear_an_interrupt(comfy: Comfy) -> None:
    socket = await comfy.socket("me")
    hanging = await comfy.submit(small("[stand-in: hang]", steps=3), client_id="me")
    await events(socket, "progress")
    assert await comfy.post(f"/api/jobs/{hanging}/cancel", None) == {"cancelled": True}
    waiting = await comfy.submit(small())
    # A job at this size takes milliseconds, so this is long enough to see that it does not begin.
    await asyncio.sleep(0.2)
    queue = await comfy.get("/queue")
    assert [item[1] for item in queue["queue_running"]] == [hanging]
    assert [item[1] for item in queue["queue_pending"]] == [waiting]
