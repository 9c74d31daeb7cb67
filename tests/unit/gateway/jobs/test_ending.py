"""Jobs that end early: cancelled in any state, above the time limit, or with a broken ComfyUI."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.jobs.circuit_breaker import AGAIN_SECONDS
from provisioning.gateway.jobs.reconciler import GRACE_MS
from provisioning.gateway.upstream.client import ComfyUIClient, Request
from provisioning.helper_requests import RESTART
from tests.unit.gateway.conftest import Gate, finish, opened, submit, taken, until
from tests.unit.gateway.fake import START_MS


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "requests").mkdir()
    return {"requests": tmp_path / "requests", "job_timeout_seconds": 100}


def restart_asked(gate: Gate) -> bool:
    assert gate.settings.requests is not None
    return (gate.settings.requests / RESTART).exists()


def ends(gate: Gate) -> dict[str, tuple[str, str | None, int]]:
    return {row[0]: row[1:] for row in gate.rows("SELECT id, state, error, gpu_ms FROM jobs")}


class Slow:
    """An upstream that blocks every POST /prompt until it is released."""

    def __init__(self, upstream: ComfyUIClient) -> None:
        self._upstream = upstream
        self.arrived, self.let_go = asyncio.Event(), asyncio.Event()

    async def call(self, request: Request) -> tuple[int, Any]:
        self.arrived.set()
        await self.let_go.wait()
        return await self._upstream.call(request)


async def test_a_job_can_be_cancelled_during_its_dispatch(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await submit(gate.alice)
    slow = Slow(gate.app.services.upstream)
    monkeypatch.setattr(gate.app.services.scheduler._pool, "_upstream", slow)
    second = await submit(gate.alice)
    await gate.comfy.begin(first)
    await slow.arrived.wait()
    cancelling = asyncio.create_task(gate.alice.post(f"/api/v2/jobs/{second}/cancel"))
    live = gate.app.services.tracker.get(second)
    assert live is not None
    await until(lambda: live.cancel_requested)
    slow.let_go.set()
    assert (await cancelling).json()["status"] == "canceled"
    assert gate.comfy.pending == [], "ComfyUI has given it back"
    assert ends(gate)[second][:2] == ("cancelled", "cancelled")


async def test_a_cancellation_interrupted_by_a_kill_is_completed_by_the_next_process(gate: Gate) -> None:
    first, second = await submit(gate.alice), await submit(gate.alice)
    await gate.comfy.begin(first)
    await taken(gate, second)
    for job in (first, second):
        live = gate.app.services.tracker.get(job)
        assert live is not None
        await gate.ledger.cancel_requested(live)
    await gate.app.stop()
    async with opened(gate.settings, gate.clock) as (app, *_):
        await app.services.reconciler.reconcile()
        assert gate.comfy.pending == []
        assert json.loads(gate.comfy.asked("POST", "/interrupt")[0].body) == {"prompt_id": first}
    assert ends(gate)[second][0] == "cancelled"


async def start(gate: Gate) -> str:
    job = await submit(gate.alice)
    await taken(gate, job)
    await gate.comfy.begin(job)
    await until(gate.app.services.tracker.running)
    return job


async def test_a_job_above_its_time_limit_is_stopped_with_a_reason(gate: Gate) -> None:
    job = await start(gate)
    gate.clock.advance(99)
    await gate.app.services.reconciler.reconcile()
    assert gate.comfy.asked("POST", "/interrupt") == []
    gate.clock.advance(2)
    await gate.app.services.reconciler.reconcile()
    assert json.loads(gate.comfy.asked("POST", "/interrupt")[0].body) == {"prompt_id": job}
    await gate.comfy.end(job, gpu_ms=101_000, interrupted=True)
    await until(lambda: gate.app.services.tracker.get(job) is None)
    document = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()
    assert (document["status"], document["error"]["code"]) == ("failed", "job_timeout")
    assert document["error"]["message"] == failure_codes.TEXTS["job_timeout"]
    assert gate.rows("SELECT gpu_ms FROM jobs") == [(101_000,)], "the used GPU time is counted"
    assert not restart_asked(gate)


async def test_a_job_that_ignores_interrupts_fails_and_comfyui_is_restarted(gate: Gate) -> None:
    job = await start(gate)
    other = await submit(gate.bob)
    await taken(gate, other)
    gate.clock.advance(101)
    await gate.app.services.reconciler.reconcile()
    gate.clock.advance(GRACE_MS / 1000 + 1)
    await gate.app.services.reconciler.reconcile()
    assert ends(gate)[job] == ("failed", "job_timeout", gate.clock.now_ms() - START_MS)
    await until(lambda: restart_asked(gate))
    answer = await gate.alice.get("/api/gateway/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "upstream_stuck")
    await come_back(gate)
    await taken(gate, other)
    answer = await gate.alice.get("/api/gateway/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "isolation": ""})


async def reconnect(gate: Gate) -> None:
    """Cut the gateway's connection to ComfyUI and wait until there is another."""
    [socket] = gate.comfy.sockets.values()
    await socket.close()
    await until(lambda: set(gate.comfy.sockets.values()) - {socket} and gate.app.services.comfyui_listener.connected)


async def come_back(gate: Gate) -> None:
    """Replace the process of ComfyUI."""
    gate.comfy.pending.clear()
    gate.comfy.running.clear()
    gate.comfy.history.clear()
    await reconnect(gate)
    await gate.app.services.tracker.reconcile()


async def test_out_of_memory_does_not_block_the_queue(gate: Gate) -> None:
    first, second = await submit(gate.alice), await submit(gate.alice)
    await finish(gate, first, {"exception_message": "CUDA out of memory"})
    await taken(gate, second)
    assert (await gate.client(None).get("/readyz")).status_code == 200
    assert not restart_asked(gate)


async def test_a_cuda_fault_blocks_the_queue_until_comfyui_is_restarted(gate: Gate) -> None:
    first, staged, third = [await submit(gate.alice) for _ in range(3)]
    await taken(gate, first)
    await gate.comfy.begin(first)
    await taken(gate, staged)
    await gate.comfy.end(first, error={"exception_message": "CUDA error: illegal access"})
    await until(lambda: restart_asked(gate))
    # The next job fails on the same broken GPU, which it did not cause.
    await gate.comfy.begin(staged)
    await gate.comfy.end(staged, error={"exception_message": "CUDA error: illegal access"})
    answer = await gate.alice.get("/api/gateway/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "gpu_fault")
    assert (await gate.client(None).get("/readyz")).status_code == 503
    await reconnect(gate)
    assert gate.comfy.pending == [], "a new connection alone is not a new process"
    await come_back(gate)
    for job in (staged, third):
        await finish(gate, job)
    found = [ends(gate)[job][:2] for job in (first, staged, third)]
    assert found == [("failed", "gpu_fault"), ("completed", None), ("completed", None)]


async def test_a_missing_restart_is_requested_again(gate: Gate) -> None:
    job = await submit(gate.alice)
    await finish(gate, job, {"exception_message": "CUDA error: unspecified launch failure"})
    await until(lambda: restart_asked(gate))
    assert gate.settings.requests is not None
    (gate.settings.requests / RESTART).unlink()
    breaker = gate.app.services.scheduler.breaker
    await breaker.poll()
    assert not restart_asked(gate)
    gate.clock.advance(AGAIN_SECONDS)
    await breaker.poll()
    assert restart_asked(gate)


@pytest.mark.parametrize(
    ("kind", "message", "reason"),
    [
        ("torch.OutOfMemoryError", "Allocation on device", "gpu_out_of_memory"),
        ("torch.cuda.OutOfMemoryError", "CUDA error: out of memory", "gpu_out_of_memory"),
        ("torch.AcceleratorError", "CUDA error: device-side assert triggered", "gpu_fault"),
        ("RuntimeError", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "gpu_fault"),
        ("ValueError", "no", "execution_error"),
    ],
)
def test_torch_errors_have_failure_codes(kind: str, message: str, reason: str) -> None:
    assert failure_codes.of_error({"exception_type": kind, "exception_message": message}) == reason
