"""Responses of a gateway whose volume stalls or is full, or that another gateway has superseded."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioning.gateway.core.database.log.epochs import Epochs
from provisioning.gateway.core.database.log.heartbeat import Heartbeat
from provisioning.gateway.core.database.log.log import EpochLog
from provisioning.gateway.core.rate_limiter import Limiter
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.factory import create_app
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.upstream.client import ComfyUIHttpClient
from tests.unit.gateway.conftest import HOST, PEPPER, Gate, Keyring, Keys, ManualClock, finish, submit, taken, until
from tests.unit.gateway.conftest import workflow as graph
from tests.unit.gateway.fake import FakeComfyUI
from tests.unit.gateway.log_databases import FULL, FaultyVolume, on


@pytest.fixture
def volume() -> FaultyVolume:
    return FaultyVolume()


@pytest.fixture
async def gate(
    comfy: tuple[FakeComfyUI, str], tmp_path: Path, empty_file: Path, volume: FaultyVolume, overrides: dict[str, Any]
) -> AsyncIterator[Gate]:
    """Return a gateway whose log is on that volume."""
    (tmp_path / "disk").mkdir()
    shutil.copy(empty_file, tmp_path / "disk" / "gateway.db")
    keyring, clock = Keyring(), ManualClock()
    settings = GatewaySettings.model_validate(
        {
            "upstream": comfy[1], "database": tmp_path / "disk" / "gateway.db", "hosts": [HOST], "pepper": PEPPER,
            "seed_keys": keyring.seeds(), "poll_seconds": 60, **overrides,
        }
    )  # fmt: skip
    database = on(volume, tmp_path)
    log = database.log
    assert isinstance(log, EpochLog)
    log.heartbeat = Heartbeat(log.epoch, log.health, "pod", 10.0)
    log.heartbeat.start()
    store, ledger = Keys(database, PEPPER, clock), Ledger(database, 3.6)
    app = create_app(
        settings, keys=store, limiter=Limiter(clock), ledger=ledger, upstream=ComfyUIHttpClient(comfy[1]), clock=clock
    )
    await app.start()
    gate = Gate(app, settings, comfy[0], clock, keyring, database, store, ledger)
    await until(lambda: app.services.comfyui_listener.connected)
    yield gate
    volume.flows.set()
    volume.errno = 0
    for client in gate.clients:
        await client.aclose()
    await app.stop()
    database.close()


async def order(client: httpx.AsyncClient, key: str) -> httpx.Response:
    body: dict[str, Any] = {"workflow": graph()}
    return await client.post("/api/v2/jobs", json=body, headers={"Idempotency-Key": key})


async def test_a_submission_that_missed_the_volume_never_runs_and_can_be_repeated(
    gate: Gate, volume: FaultyVolume
) -> None:
    running = await submit(gate.alice)
    await taken(gate, running)
    volume.flows.clear()
    first = await order(gate.alice, "one")
    assert (first.status_code, first.json()["code"]) == (503, "store_unavailable")
    assert int(first.headers["retry-after"]) >= 1
    took = []
    for _ in range(10):
        began = time.monotonic()
        assert (await order(gate.alice, "one")).status_code == 503
        took.append(time.monotonic() - began)
    assert min(took) < 2, "only the first request waited for the stalled volume, for 3 s"
    assert (await gate.client(None).get("/livez")).status_code == 200
    assert (await gate.alice.get(f"/api/v2/jobs/{running}")).status_code == 200, "reads continue"
    assert (await gate.client(None).get("/readyz")).status_code == 503
    assert (await gate.admin.get("/api/gateway/ready")).json()["code"] == "store_unavailable"
    volume.flows.set()
    await until(lambda: gate.rows("SELECT 1 FROM jobs WHERE state = 'rejected'"))
    again = await order(gate.alice, "one")
    assert again.status_code == 201, again.text
    await finish(gate, running)
    await finish(gate, again.json()["id"])
    assert sorted(gate.rows("SELECT state FROM jobs")) == [("completed",), ("completed",), ("rejected",)]


async def test_a_job_that_ends_while_the_volume_stalls_is_recorded_afterwards(gate: Gate, volume: FaultyVolume) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)
    await gate.comfy.begin(job)
    volume.flows.clear()
    await gate.comfy.end(job)
    await until(lambda: not_ready(gate))
    volume.flows.set()
    await until(lambda: settled(gate))
    assert gate.rows("SELECT state, gpu_ms FROM jobs") == [("completed", 1500)]


async def not_ready(gate: Gate) -> bool:
    return (await gate.client(None).get("/readyz")).status_code == 503


async def settled(gate: Gate) -> bool:
    await gate.app.services.reconciler.reconcile()
    return gate.app.services.tracker.of_owner(None) == []


async def test_a_full_volume_is_answered_with_507_and_a_remedy(gate: Gate, volume: FaultyVolume) -> None:
    volume.errno = FULL
    for _ in range(2):
        answer = await order(gate.alice, "one")
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert "volume.sizeGb" in answer.json()["detail"]
    assert (await gate.alice.get("/queue")).status_code == 200
    volume.errno = 0
    await until(lambda: accepted(gate))


async def accepted(gate: Gate) -> bool:
    return (await order(gate.alice, "two")).status_code == 201


async def test_a_superseded_gateway_stops_running_jobs_and_refuses_requests(gate: Gate, tmp_path: Path) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)
    await gate.comfy.begin(job)
    log = gate.database.log
    assert isinstance(log, EpochLog)
    Epochs(log.epoch.path.parent).begin("another pod")
    answer = await order(gate.alice, "late")
    assert (answer.status_code, answer.json()["code"]) == (503, "taken_over")
    assert answer.headers["retry-after"]
    await until(lambda: gate.app.services.handover.is_over)
    await until(lambda: gate.comfy.asked("POST", "/interrupt"))
    for answer in (await gate.alice.get("/queue"), await gate.admin.get("/api/gateway/ready")):
        assert (answer.status_code, answer.json()["code"]) == (503, "taken_over")
    assert (await gate.client(None).get("/livez")).status_code == 200
    assert not gate.app.services.handover._log.epoch.is_closed  # type: ignore[union-attr]


async def test_a_handover_waits_for_the_running_job_and_accepts_jobs_until_then(gate: Gate) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)
    await gate.comfy.begin(job)
    log = gate.database.log
    assert isinstance(log, EpochLog)
    log.epoch.ask("another pod")
    await until(lambda: gate.app.services.scheduler.draining)
    waits = await order(gate.alice, "waits")
    assert waits.status_code == 201
    assert not log.epoch.is_closed
    await gate.comfy.end(job)
    await until(lambda: log.epoch.is_closed)
    assert (await gate.alice.get("/queue")).json()["code"] == "taken_over"
    states = dict(gate.rows("SELECT id, state FROM jobs"))
    assert states == {job: "completed", waits.json()["id"]: "accepted"}
    assert not gate.comfy.asked("POST", "/interrupt")


@pytest.mark.parametrize("overrides", [{"handover_seconds": 0.5}])
async def test_a_handover_interrupts_a_job_at_the_time_limit_and_the_next_pod_runs_it(gate: Gate) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)
    await gate.comfy.begin(job)
    log = gate.database.log
    assert isinstance(log, EpochLog)
    log.epoch.ask("another pod")
    await until(lambda: log.epoch.is_closed)
    assert gate.comfy.asked("POST", "/interrupt")
    assert gate.rows("SELECT finished_at, attempts FROM jobs") == [(None, 1)]
