"""SIGKILL, again and again, under load: no order without its end, nothing counted twice, nothing lost."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import pytest

from tests.integration.gateway.bench import Orders, Volume, kill, reach, settle, with_admin, workflow
from tests.unit.gateway.conftest import until

pytestmark = pytest.mark.slow

STATES = ("accepted", "dispatching", "running", "completed", "accepted")


@dataclass
class Found:
    """What a run came to."""

    rounds: int
    orders: int
    reached: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return f"{self.rounds} kills, {self.orders} orders, hit {dict(self.reached)}, ended {dict(self.ends)}"


def judge(volume: Volume, orders: Orders, found: Found) -> None:
    """Every order is one job, every job has one end, and what ComfyUI made is counted once."""
    rows = {row[0]: row[1:] for row in volume.rows("SELECT id, state, attempts, gpu_ms, finished_at, error FROM jobs")}
    assert len(set(orders.jobs.values())) == len(orders.jobs), "two orders, one job"
    for job in set(rows) - set(orders.jobs.values()):
        # Whoever submits while nothing else waits is told at once that ComfyUI is away, and orders the same anew.
        state, _, gpu_ms, finished, _ = rows.pop(job)
        assert (state, gpu_ms, finished is not None) == ("rejected", 0, True), "a job that nobody ordered"
        found.ends["refused with 503"] += 1
    assert set(orders.jobs.values()) == set(rows), "an order without a job"
    found.ends.update(row[0] if row[4] is None else row[4] for row in rows.values())
    assert all(row[3] is not None for row in rows.values()), "a job without an end"
    assert set(found.ends) <= {"completed", "upstream_lost", "refused with 503"}
    assets = dict(volume.rows("SELECT job_id, count(*) FROM assets WHERE job_id IS NOT NULL GROUP BY job_id"))
    pictures = volume.pictures()
    for job, (state, attempts, gpu_ms, _, _) in rows.items():
        assert 1 <= attempts <= 2
        assert (gpu_ms > 0) == (state == "completed"), "a usage row that is lost"
        assert assets.get(job, 0) == (1 if state == "completed" else 0), "an output that is lost or doubled"
        assert pictures[job] <= attempts, "a job that ran twice though it was not lost"
    sys.stderr.write(f"\n{found}\n")


async def kill_often(folder: Path, rounds: int, victim: Literal["comfyui", "gateway"], work_every: int) -> Found:
    """Kill one of the two at every state of a job in turn; some work is done after every `work_every` kills."""
    volume = Volume(folder)
    start = {"comfyui": volume.comfyui, "gateway": volume.gateway}
    running = {name: await begin() for name, begin in start.items()}
    orders, found = Orders(volume), Found(rounds, 0)
    try:
        async with orders.coming():
            for number in range(1, rounds + 1):
                state = STATES[(number - 1) % len(STATES)]
                found.reached[state] += await reach(volume, state)
                await kill(running[victim])
                running[victim] = await start[victim]()
                if number % work_every == 0:
                    await progress(volume)
        await settle(volume)
        found.orders = len(orders.jobs)
        if victim == "gateway":
            await agree(volume)
        judge(volume, orders, found)
    finally:
        await kill(*running.values())
    if victim == "gateway":
        assert found.ends["completed"] == found.orders, "ComfyUI was well all the time"
        # One that was killed on its way is handed over again, since it never arrived; none runs again.
        assert set(volume.pictures().values()) == {1}
    return found


async def agree(volume: Volume) -> None:
    """Compare every job's GPU time with ComfyUI's own history, to the millisecond."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{volume.comfy_port}", trust_env=False, timeout=60
    ) as client:
        history = (await client.get("/history")).json()
    ran = {}
    for job, entry in history.items():
        times = {name: data["timestamp"] for name, data in entry["status"]["messages"]}
        ran[job] = times["execution_success"] - times["execution_start"]
    assert dict(volume.rows("SELECT id, gpu_ms FROM jobs")) == ran


async def progress(volume: Volume) -> None:
    def done() -> int:
        return int(volume.rows("SELECT count(*) FROM jobs WHERE state = 'completed'")[0][0])

    before = done()
    await until(lambda: done() >= before + 2, seconds=120)


async def test_the_gateway_is_killed_at_every_state(tmp_path: Path) -> None:
    found = await kill_often(tmp_path, 6, "gateway", 2)
    assert sum(found.reached.values()) >= 4


async def test_comfyui_is_killed_at_every_state(tmp_path: Path) -> None:
    found = await kill_often(tmp_path, 6, "comfyui", 1)
    assert sum(found.reached.values()) >= 4
    assert found.ends["completed"] >= 12


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_the_gateway_is_killed_fifty_times(tmp_path: Path) -> None:
    found = await kill_often(tmp_path, 50, "gateway", 2)
    assert set(found.reached) >= {"accepted", "dispatching", "running"}


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_comfyui_is_killed_fifty_times(tmp_path: Path) -> None:
    found = await kill_often(tmp_path, 50, "comfyui", 1)
    assert set(found.reached) >= {"accepted", "dispatching", "running"}


async def issue(admin: httpx.AsyncClient, name: str) -> dict[str, str]:
    answer = await admin.post("/api/gateway/keys", json={"name": name, "scopes": ["client"]})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_pod_made_again_on_the_same_volume_has_everything(tmp_path: Path) -> None:
    """Both processes die at once, and others take over the volume, as when RunPod gives it to a new pod."""
    volume = Volume(tmp_path)
    admin = with_admin(volume)
    comfyui, gateway = await volume.comfyui(), await volume.gateway()
    async with volume.setup.client() as client:
        job = (await client.post("/api/v2/jobs", json={"workflow": workflow(1)})).json()
        await settle(volume)
        done = (await client.get(job["urls"]["self"])).json()
        picture = (await client.get(f"/api/v2/assets/{done['outputs'][0]['id']}/content")).content
        usage = (await client.get("/api/gateway/usage")).json()["rows"]
        alive, revoked = await issue(admin, "alive"), await issue(admin, "revoked")
        assert (await admin.post(f"/api/gateway/keys/{revoked['id']}/revoke")).status_code == 200
        waiting = (await client.post("/api/v2/jobs", json={"workflow": workflow(2)})).json()["id"]
        await kill(gateway, comfyui)
    comfyui, gateway = await volume.comfyui(), await volume.gateway()
    try:
        async with volume.setup.client() as client:
            for key, status in ((alive, 200), (revoked, 401)):
                answer = await client.get("/queue", headers={"Authorization": f"Bearer {key['key']}"})
                assert answer.status_code == status
            again = (await client.get(job["urls"]["self"])).json()
            assert {**again["outputs"][0], "url_expires_at": 0} == {**done["outputs"][0], "url_expires_at": 0}
            path = f"/api/v2/assets/{again['outputs'][0]['id']}/content"
            assert (await client.get(path)).content == picture
            await settle(volume)
            assert (await client.get(f"/api/v2/jobs/{waiting}")).json()["status"] == "succeeded"
            [row] = (await client.get("/api/gateway/usage")).json()["rows"]
            assert row["jobs"] == usage[0]["jobs"] + 1
            assert row["gpu_ms"] > usage[0]["gpu_ms"]
    finally:
        await admin.aclose()
        await kill(gateway, comfyui)


async def test_what_a_kill_can_lose_is_a_second_of_request_rows_and_no_job(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    comfyui, gateway = await volume.comfyui(), await volume.gateway()
    answered: list[str] = []
    try:
        async with volume.setup.client() as client:

            async def ask() -> None:
                with suppress(httpx.TransportError):
                    # nginx may answer 503 for a moment after the gateway's death.
                    while (answer := await client.get("/queue")).status_code == 200:
                        answered.append(answer.headers["x-request-id"])

            asking = asyncio.create_task(ask())
            began = time.monotonic()
            job = (await client.post("/api/v2/jobs", json={"workflow": workflow(1)})).json()["id"]
            await asyncio.sleep(12)
            await until(lambda: volume.rows("SELECT 1 FROM requests LIMIT 1"))
            await kill(gateway)
            asked = time.monotonic() - began
            await asking
    finally:
        await kill(gateway, comfyui)
    kept = {row[0] for row in volume.rows("SELECT id FROM requests")}
    lost = [number for number, request in enumerate(answered) if request not in kept]
    assert volume.rows(f"SELECT count(*) FROM jobs WHERE id = '{job}'") == [(1,)]  # noqa: S608
    assert lost == list(range(len(answered) - len(lost), len(answered))), "only the newest are lost"
    rate = len(answered) / asked
    sys.stderr.write(f"\nlost {len(lost)} of {len(answered)} request rows: {len(lost) / rate:.2f} s of them\n")
    assert len(lost) / rate < 8
