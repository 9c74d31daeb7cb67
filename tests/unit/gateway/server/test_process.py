"""The gateway as a separate process: killed, stopped, and in front of the stand-in."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from provisioning.gateway.core.database.log.epochs import Epochs
from tests.comfyui.model_files import write_models
from tests.emulator.public_ports import kept_port
from tests.unit.gateway.conftest import until, workflow
from tests.unit.gateway.fake import PNG, FakeComfyUI
from tests.unit.gateway.gateway_process import (
    STAND_IN,
    WORKFLOWS,
    Setup,
    finished,
    is_up,
    prepare,
    process,
    run,
    serving,
)
from tests.unit.gateway.receiver import receiving


@pytest.mark.slow
async def test_a_kill_loses_no_job_and_the_next_process_finishes_it(
    comfy: tuple[FakeComfyUI, str], tmp_path: Path
) -> None:
    fake, url = comfy
    # The fake ComfyUI ends jobs in 1970: with the default they would be forgotten at once.
    setup = prepare(tmp_path, url, retention_days=36500)
    async with serving(setup) as gateway, setup.client() as client:
        answers = [await client.post("/prompt", json={"prompt": workflow()}) for _ in range(5)]
        jobs = [answer.json()["prompt_id"] for answer in answers]
        gateway.send_signal(signal.SIGKILL)
    states = dict(setup.rows("SELECT id, state FROM jobs"))
    assert [states[job] for job in jobs] == ["dispatching"] + ["accepted"] * 4
    await fake.begin(jobs[0])
    await fake.end(jobs[0])
    async with serving(setup), setup.client() as client:
        await run(fake, jobs[1])
        await until(lambda: fake.pending)
        fake.pending.clear()
        await run(fake, jobs[2])
        await run(fake, jobs[3])
        await until(lambda: len(setup.rows("SELECT 1 FROM jobs WHERE finished_at IS NOT NULL")) == 4)
        assert set((await client.get("/history")).json()) == set(jobs[:4])
    attempts = dict(setup.rows("SELECT id, attempts FROM jobs"))
    assert [attempts[job] for job in jobs] == [1, 1, 2, 1, 1]
    assert setup.rows("SELECT sum(gpu_ms) FROM jobs") == [(6000,)]


@pytest.mark.slow
async def test_a_kill_loses_no_webhook(comfy: tuple[FakeComfyUI, str], tmp_path: Path) -> None:
    """The receiver is down when the gateway is killed, and the next gateway delivers."""
    fake, url = comfy
    local: dict[str, Any] = {"webhook_allow_http": True, "webhook_allow_private": True, "webhook_ports": []}
    setup, port = prepare(tmp_path, url, **local), kept_port()
    async with serving(setup) as gateway, setup.client() as client:
        secret = (await client.post("/api/gateway/webhooks/jobs/rotate")).json()["secret"]
        body = {"workflow": workflow(), "webhook_url": f"http://127.0.0.1:{port}/hook"}
        job = (await client.post("/api/v2/jobs", json=body)).json()["id"]
        await run(fake, job)
        await until(lambda: setup.rows("SELECT 1 FROM webhook_attempts"))
        gateway.send_signal(signal.SIGKILL)
    [(message,)] = setup.rows("SELECT id FROM webhook_messages")
    async with receiving(port=port) as receiver, serving(setup):
        await until(lambda: receiver.got, seconds=90)
        told = Webhook(secret).verify(receiver.got[0].body, receiver.got[0].headers)
        assert (told["type"], told["data"]["id"]) == ("job.succeeded", job)
        assert receiver.got[0].headers["webhook-id"] == message
        await until(lambda: setup.rows("SELECT state FROM webhook_deliveries") == [("delivered",)])


async def test_a_gateway_that_handed_over_stops_gracefully_and_stands_by_at_its_next_start(
    comfy: tuple[FakeComfyUI, str], tmp_path: Path
) -> None:
    """supervisord restarts it (`autorestart=true`)."""
    setup = prepare(tmp_path, comfy[1], log=str(tmp_path / "log"), pod_id="pod-a")
    async with serving(setup) as gateway:
        [stack] = (tmp_path / "log").iterdir()
        newer = Epochs(stack).begin("pod-b")
        assert await asyncio.wait_for(gateway.wait(), 60) == 0
    command = (sys.executable, "-m", "provisioning.gateway", "serve", "--config", str(setup.config))
    async with process(*command), setup.client() as client:
        await until(lambda: is_up(client, "/livez"), seconds=60)
        refused = await client.get("/queue")
        assert (refused.status_code, refused.json()["code"]) == (503, "standby")
        assert not newer.is_handover_requested


async def test_sigterm_stops_the_gateway_gracefully(comfy: tuple[FakeComfyUI, str], tmp_path: Path) -> None:
    setup = prepare(tmp_path, comfy[1])
    async with serving(setup) as gateway, setup.client() as client:
        await client.get("/queue")
        gateway.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            await gateway.wait()
    assert ("/queue", 200) in setup.rows("SELECT route, status FROM requests")


@pytest.mark.parametrize("busy", [False, True])
async def test_sigterm_closes_the_epoch_unless_a_job_is_running(
    comfy: tuple[FakeComfyUI, str], tmp_path: Path, busy: bool
) -> None:
    (tmp_path / "log").mkdir()
    setup = prepare(tmp_path, comfy[1], log=str(tmp_path / "log"), pod_id="pod")
    async with serving(setup) as gateway, setup.client() as client:
        if busy:
            job = (await client.post("/prompt", json={"prompt": workflow()})).json()["prompt_id"]
            await until(lambda: any(item[1] == job for item in comfy[0].pending))
        gateway.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            assert await gateway.wait() == 0
    assert bool(list((tmp_path / "log").rglob("closed"))) is not busy


async def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    setup = prepare(tmp_path, "http://127.0.0.1:9")
    command = (sys.executable, "-m", "provisioning.gateway", "serve", "--config", str(setup.config))
    with socket.create_server(("127.0.0.1", setup.port)):
        async with process(*command) as gateway, asyncio.timeout(120):
            assert await gateway.wait() != 0


async def test_the_gateway_listens_beside_the_port_reservation(comfy: tuple[FakeComfyUI, str], tmp_path: Path) -> None:
    setup = prepare(tmp_path, comfy[1])
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("0.0.0.0", setup.port))  # noqa: S104  (as on a pod)
        async with serving(setup), setup.client() as client:
            assert (await client.get("/queue")).status_code == 200


@pytest.fixture
async def stand_in(tmp_path: Path) -> AsyncIterator[str]:
    write_models(tmp_path)
    port = kept_port()
    command = (sys.executable, "main.py", "--port", str(port), "--base-directory", str(tmp_path), "--disable-metadata")
    async with (
        process(*command, cwd=STAND_IN),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        await until(lambda: is_up(client, "/queue"), seconds=180)
        yield f"http://127.0.0.1:{port}"


async def test_the_stand_in_generates_an_image(stand_in: str, tmp_path: Path) -> None:
    setup = prepare(tmp_path, stand_in)
    async with serving(setup), setup.client() as client:
        graph = json.loads((WORKFLOWS / "text_to_image.json").read_text())
        answer = await client.post("/prompt", json={"prompt": graph})
        assert answer.status_code == 200, answer.text
        job = answer.json()["prompt_id"]
        await until(lambda: finished(client, job), seconds=180)
        entry = (await client.get(f"/history/{job}")).json()[job]
        [image] = [image for output in entry["outputs"].values() for image in output["images"]]
        picture = await client.get("/view", params=image)
        assert (picture.headers["content-type"], picture.content[:8]) == ("image/png", PNG[:8])
        assert entry["status"]["status_str"] == "success"
        await ranges(client, job)
    assert setup.rows("SELECT state FROM jobs") == [("completed",)]


async def ranges(client: httpx.AsyncClient, job: str) -> None:
    """Ask for parts of a job's output."""
    [output] = (await client.get(f"/api/v2/jobs/{job}")).json()["outputs"]
    path = f"/api/v2/assets/{output['id']}/content"
    whole = await client.get(path)
    size, tag = len(whole.content), whole.headers["etag"]
    for asked, start, end in (("0-9", 0, 10), ("10-", 10, size), ("-7", size - 7, size), ("0-0", 0, 1)):
        part = await client.get(path, headers={"Range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, whole.content[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    beyond = await client.get(path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    for known, status in ((tag, 206), ('"another"', 200), (f"W/{tag}", 200), ("Wed, 01 Jan 2020 00:00:00 GMT", 200)):
        answer = await client.get(path, headers={"Range": "bytes=0-9", "If-Range": known})
        assert (answer.status_code, len(answer.content)) == (status, 10 if status == 206 else size), known
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304


@pytest.mark.slow
async def test_the_comfy_sdk_works_unchanged(stand_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = pytest.importorskip("comfy_sdk")
    setup = prepare(tmp_path, stand_in)
    monkeypatch.setenv("COMFY_BASE_URL", f"http://127.0.0.1:{setup.port}")
    graphs = {
        name: json.loads((WORKFLOWS / f"{name}.json").read_text()) for name in ("text_to_image", "image_to_image")
    }
    async with serving(setup), sdk.AsyncComfy(api_key=setup.key) as client:
        job = await client.submit(client.workflows.from_json(graphs["text_to_image"]))
        events = [event async for event in job.events()]
        assert {type(event).__name__ for event in events} >= {"StatusChange", "Progress", "OutputReady"}
        drawn = await (await job.result()).outputs[0].to_bytes()
        assert drawn[:8] == PNG[:8]
        again = client.workflows.from_json(graphs["image_to_image"])
        again.set_input("2", "image", client.assets.from_bytes(drawn, filename="drawn.png"))
        second = await client.run(again)
        assert await second.outputs[0].to_bytes() != drawn
        assert [summary.id async for summary in client.list_jobs(limit=1)] == [second.id, job.id]
        assert (await second.cancel()).status == "succeeded"
        assert (await (await client.jobs.get(job.id)).get_workflow()).graph == graphs["text_to_image"]


def marked(marker: str) -> dict[str, Any]:
    """Return a workflow that makes the stand-in fail, as its README says."""
    text = (WORKFLOWS / "text_to_image.json").read_text()
    graph: dict[str, Any] = json.loads(text)
    for node in graph.values():
        if node["class_type"] == "CLIPTextEncode":
            node["inputs"]["text"] += f" [stand-in: {marker}]"
    return graph


async def taken_in(client: httpx.AsyncClient, graph: dict[str, Any]) -> str:
    """Submit a workflow, with retries while ComfyUI is down: an earlier job may have stopped it."""
    answers: list[httpx.Response] = []

    async def submitted() -> bool:
        answers.append(await client.post("/prompt", json={"prompt": graph}))
        assert answers[-1].status_code in {200, 502, 503}, answers[-1].text
        return answers[-1].status_code == 200

    await until(submitted, seconds=90)
    return str(answers[-1].json()["prompt_id"])


@pytest.mark.slow
async def test_every_job_reaches_a_final_state(tmp_path: Path) -> None:
    write_models(tmp_path)
    port = kept_port()
    command = (sys.executable, "main.py", "--port", str(port), "--base-directory", str(tmp_path), "--disable-metadata")
    setup = prepare(tmp_path, f"http://127.0.0.1:{port}")
    async with serving_while(setup, command) as client:
        jobs = [await taken_in(client, marked(marker)) for marker in ("oom", "crash", "slow 0")]
        await until(lambda: len(setup.rows("SELECT 1 FROM jobs WHERE finished_at IS NOT NULL")) == 3, seconds=90)
    ends = {row[0]: row[1:] for row in setup.rows("SELECT id, state, error, attempts FROM jobs")}
    assert ends[jobs[0]] == ("failed", "gpu_out_of_memory", 1)
    assert ends[jobs[1]] == ("failed", "upstream_lost", 2)
    assert ends[jobs[2]][:2] == ("completed", None)


@asynccontextmanager
async def serving_while(setup: Setup, command: tuple[str, ...]) -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway in front of a stand-in that is restarted whenever it stops, as by supervisord."""

    async def keep_up() -> None:
        while True:
            async with process(*command, cwd=STAND_IN) as started:
                await started.wait()

    keeping = asyncio.create_task(keep_up())
    try:
        async with serving(setup), setup.client() as client:
            yield client
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
