"""The gateway's own event stream: its events, reconnects, and its end."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from provisioning.gateway.accounts import key_format
from provisioning.gateway.core.problems import Code
from provisioning.gateway.events import setup_events
from provisioning.progress import DONE, RUNNING, ProgressLog
from tests.unit.gateway.conftest import Gate, finish, opened, submit, taken, until
from tests.unit.gateway.event_stream_client import Frame, open_event_stream

EVENTS = "/api/gateway/events"


def names(frames: list[Frame]) -> list[str]:
    return [frame.name for frame in frames]


def of_job(frames: list[Frame], job: str) -> list[Frame]:
    return [frame for frame in frames if frame.data.get("job_id") == job]


async def test_events_of_a_job_from_queue_position_to_outputs(gate: Gate, port: int) -> None:
    async with open_event_stream(port, gate.keyring.alice) as alice:
        first = await alice.until("snapshot")
        job = await submit(gate.alice)
        await finish(gate, job)
        await alice.until("job_status", status="succeeded")
    assert first.data["jobs"] == []
    told = of_job(alice.seen, job)
    assert [frame.data["status"] for frame in told if frame.name == "job_status"] == ["queued", "running", "succeeded"]
    assert told[0].data == {"job_id": job, "status": "queued", "queue_position": 1}
    progress = next(frame.data for frame in told if frame.name == "job_progress" and frame.data["step"])
    assert (progress["step"], progress["steps"], progress["percent"]) == (1, 2, 50.0)
    [output] = [frame.data for frame in told if frame.name == "job_output"]
    picture = await gate.alice.get(output["url"])
    assert (picture.status_code, output["size_bytes"]) == (200, len(picture.content))
    assert told[-1].data["metrics"]["execution_ms"] == 1500
    ids = [frame.id for frame in alice.seen]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    assert alice.retry is not None


async def test_two_users_see_nothing_of_each_other(gate: Gate, port: int) -> None:
    async with (
        open_event_stream(
            port, gate.keyring.alice, f"{EVENTS}?types=job_status,job_progress,job_preview,job_output"
        ) as alice,
        open_event_stream(port, gate.keyring.bob) as bob,
        open_event_stream(port, gate.keyring.admin) as admin,
    ):
        for listener in (alice, bob, admin):
            await listener.until("snapshot")
        jobs = [await submit(gate.alice), await submit(gate.bob)]
        await taken(gate, jobs[0])
        await gate.comfy.begin(jobs[0])
        await gate.comfy.preview(jobs[0])
        await gate.comfy.end(jobs[0])
        await finish(gate, jobs[1])
        for listener in (alice, bob):
            await listener.until("job_status", status="succeeded")
        await admin.until("job_status", job_id=jobs[1], status="succeeded")
    assert {frame.data["job_id"] for frame in alice.seen[1:]} == {jobs[0]}
    assert {frame.data["job_id"] for frame in bob.seen if "job_id" in frame.data} == {jobs[1]}
    assert {frame.data.get("job_id") for frame in admin.seen} >= set(jobs)
    assert "job_preview" in names(alice.seen)
    numbers = [int((frame.id or "").split("-")[1]) for frame in bob.seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "gaps would reveal other users' events"


async def test_missed_events_are_sent_once_after_a_reconnect(gate: Gate, port: int) -> None:
    async with (
        open_event_stream(port, gate.keyring.alice) as whole,
        open_event_stream(port, gate.keyring.alice) as alice,
    ):
        await whole.until("snapshot")
        await alice.until("snapshot")
        job = await submit(gate.alice)
        await alice.until("job_status", status="queued")
        assert alice.last_id is not None
        last_id = alice.last_id
        await alice.answer.aclose()
        await finish(gate, job)
        await whole.until("job_status", status="succeeded")
        async with open_event_stream(port, gate.keyring.alice, Last_Event_ID=last_id) as again:
            await again.until("job_status", status="succeeded")
        async with open_event_stream(port, gate.keyring.alice, f"{EVENTS}?last_event_id={last_id}") as by_query:
            await by_query.until("job_status", status="succeeded")
    assert [frame for frame in alice.seen[1:] + again.seen if "job_id" in frame.data] == [
        frame for frame in whole.seen if "job_id" in frame.data
    ]
    assert names(by_query.seen) == names(again.seen)


async def test_an_event_id_from_before_a_restart_gets_the_state_and_missed_ends(gate: Gate, port: int) -> None:
    done, waiting = await submit(gate.alice), await submit(gate.alice)
    await finish(gate, done)
    strangers = await submit(gate.bob)
    at = gate.clock.now_ms()
    async with open_event_stream(port, gate.keyring.alice, Last_Event_ID=f"{'0' * 12}-17-{at}") as alice:
        await alice.until("job_status", status="succeeded")
    assert names(alice.seen) == ["reset", "snapshot", "job_output", "job_status"]
    assert alice.seen[0].data["ended"] == 1
    assert [job["job_id"] for job in alice.seen[1].data["jobs"]] == [waiting]
    assert alice.seen[-1].data["job_id"] == done
    assert strangers not in json.dumps([frame.data for frame in alice.seen])
    async with open_event_stream(port, gate.keyring.alice, Last_Event_ID="nonsense") as lost:
        await lost.until("snapshot")
    assert names(lost.seen) == ["reset", "snapshot"]


async def test_the_same_event_id_works_for_a_second_reconnect(gate: Gate, port: int) -> None:
    async with open_event_stream(port, gate.keyring.alice, Last_Event_ID="nonsense") as alice:
        await alice.until("snapshot")
    job = await submit(gate.alice)
    async with open_event_stream(port, gate.keyring.alice, Last_Event_ID=alice.last_id or "") as again:
        await again.until("job_status", job_id=job)
    assert "reset" not in names(again.seen)


async def test_a_restarted_gateway_publishes_the_ends_of_jobs(gate: Gate, port: int) -> None:
    job = await submit(gate.alice)
    async with open_event_stream(port, gate.keyring.alice) as alice:
        await alice.until("snapshot")
        gate.app.drain()
        rest = await alice.rest()
    told, end = rest[-2:]
    assert (told.name, told.data["draining"]) == ("pod_status", True)
    assert (end.name, end.data, end.id) == ("end", {"reason": "draining"}, None)
    await gate.app.stop()
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    async with opened(gate.settings, gate.clock) as (app, *_):
        await app.services.tracker.reconcile()
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway.test")
        answer = await client.get(
            f"/api/v2/jobs/{job}/events",
            headers={"X-API-Key": gate.keyring.alice, "Last-Event-ID": alice.last_id or ""},
        )
        await client.aclose()
    lines = [line for line in answer.text.splitlines() if line.startswith("event")]
    assert lines == ["event: reset", "event: output", "event: status"]


@pytest.mark.parametrize("overrides", [{"keep_alive_seconds": 0.05}])
async def test_idle_streams_get_keep_alive_comments(gate: Gate, port: int) -> None:
    async with open_event_stream(port, gate.keyring.alice) as alice, asyncio.timeout(60):
        await alice.until("snapshot")
        for _ in range(3):
            # Events about the pod may come in between.
            await alice.until(":")


@pytest.mark.parametrize(("overrides"), [{"max_sockets_per_owner": 2}, {"max_streams_per_key": 2}, {"max_streams": 2}])
async def test_streams_of_all_kinds_are_limited_together(gate: Gate, port: int) -> None:
    key = {"X-API-Key": gate.keyring.alice}
    async with (
        open_event_stream(port, gate.keyring.alice) as alice,
        connect(f"ws://127.0.0.1:{port}/ws", additional_headers=key),
    ):
        await alice.until("snapshot")
        job = await submit(gate.alice)
        for path in (EVENTS, f"/api/v2/jobs/{job}/events"):
            answer = await gate.alice.get(path)
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams"), path
            assert int(answer.headers["retry-after"]) >= 1
        for path in ("/ws", "/api/gateway/ws"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{port}{path}", additional_headers=key, proxy=None)
            assert refused.value.response.status_code == 429
    await until(lambda: not len(gate.app.services.open_streams))
    async with open_event_stream(port, gate.keyring.alice) as alice:
        await alice.until("snapshot")


@pytest.mark.parametrize("internal", [{"stream_recheck_seconds": 0.02}])
async def test_streams_end_when_their_key_is_revoked_or_expires(gate: Gate, port: int) -> None:
    job = await submit(gate.alice)
    async with (
        open_event_stream(port, gate.keyring.alice) as alice,
        open_event_stream(port, gate.keyring.alice, f"/api/v2/jobs/{job}/events") as of_one,
        open_event_stream(port, gate.keyring.bob) as bob,
    ):
        await bob.until("snapshot")
        await gate.store.revoke(key_format.key_id(gate.keyring.alice) or "")
        for stream in (alice, of_one):
            last = (await stream.rest())[-1]
            assert (last.name, last.data) == ("end", {"reason": "key_revoked"})
        await finish(gate, job)
        await finish(gate, await submit(gate.bob))
        await bob.until("job_status", status="succeeded")


async def test_a_draining_gateway_opens_no_stream(gate: Gate) -> None:
    gate.app.drain()
    for path in (EVENTS, "/api/v2/jobs/x/events"):
        assert (await gate.alice.get(path)).status_code in {404, 503}
    assert (await gate.alice.get(EVENTS)).json()["code"] == "draining"


async def test_event_types_are_selected_and_unknown_ones_refused(gate: Gate, port: int) -> None:
    async with open_event_stream(port, gate.keyring.alice, f"{EVENTS}?types=job_status") as alice:
        await finish(gate, await submit(gate.alice))
        await alice.until("job_status", status="succeeded")
    assert set(names(alice.seen)) == {"snapshot", "job_status"}
    answer = await gate.alice.get(EVENTS, params={"types": "job_status,nothing"})
    assert (answer.status_code, "pod_status" in answer.json()["detail"]) == (400, True)


async def test_a_change_of_the_pods_status_is_published(gate: Gate, port: int) -> None:
    async with open_event_stream(port, gate.keyring.alice) as alice:
        first = await alice.until("snapshot")
        assert first.data["pod_status"] == {
            "ready": True, "reason": None, "comfyui": "up", "gpu": "ok", "draining": False,
        }  # fmt: skip
        gate.app.services.scheduler.breaker.open("some-job", Code.GPU_FAULT)
        told = await alice.until("pod_status", gpu="fault")
        assert (told.data["ready"], told.data["reason"]) == (False, "gpu_fault")
        await gate.app.services.scheduler.breaker.poll()
        await alice.until("pod_status", ready=True)


async def test_the_cost_of_the_pod_and_of_own_jobs_is_published(gate: Gate, port: int) -> None:
    async with open_event_stream(port, gate.keyring.alice) as alice, open_event_stream(port, gate.keyring.bob) as bob:
        await bob.until("snapshot")
        gate.clock.advance(3600)
        await finish(gate, await submit(gate.alice))
        told = (await alice.until("cost_update")).data
        await submit(gate.bob)
        await bob.until("job_status")
    assert (told["pod"]["usd_per_hour"], told["pod"]["usd"]) == (3.6, 3.6)
    assert told["usage"] == {
        "of": "own",
        "day": {"jobs": 1, "gpu_seconds": 1.5, "usd": 0.0015},
        "month": {"jobs": 1, "gpu_seconds": 1.5, "usd": 0.0015},
    }
    assert "cost_update" not in names(bob.seen), "costs of others are not visible"


async def test_the_installers_progress_is_published_with_details_for_admins(
    gate: Gate, port: int, tmp_path: Path
) -> None:
    services = gate.app.services
    former = ProgressLog(tmp_path / "run-1" / "progress.jsonl", clock=lambda: 5.0)
    former.emit("models", RUNNING, "canary-model.safetensors", done=1, total=2)
    watching = asyncio.create_task(setup_events.watch(tmp_path, services.broadcast, pause_seconds=0.02))
    await until(lambda: services.broadcast.setup(in_detail=False))
    async with (
        open_event_stream(port, gate.keyring.alice) as alice,
        open_event_stream(port, gate.keyring.admin) as admin,
    ):
        first = await alice.until("snapshot")
        await admin.until("snapshot")
        former.emit("models", DONE, "canary-model.safetensors", done=2, total=2)
        told, in_detail = await alice.until("setup_progress"), await admin.until("setup_progress")
    watching.cancel()
    former.close()
    assert first.data["setup_progress"]["bytes"] == 1
    assert told.data == {"run": "run-1", "ts": 5.0, "step": "models", "state": "done", "bytes": 2, "total": 2}
    assert in_detail.data == told.data | {"detail": "canary-model.safetensors"}


async def test_the_websocket_has_the_same_events_and_ids(gate: Gate, port: int) -> None:
    key = {"X-API-Key": gate.keyring.alice}
    url = f"ws://127.0.0.1:{port}/api/gateway/events"
    async with open_event_stream(port, gate.keyring.alice) as alice:
        async with connect(url, additional_headers=key, proxy=None) as client:
            job = await submit(gate.alice)
            await finish(gate, job)
            heard = await _heard(client, "succeeded")
        await alice.until("job_status", status="succeeded")
        own = [frame for frame in alice.seen if frame.data.get("job_id") == job]
        assert [(e["id"], e["type"], e["data"]) for e in heard if e["data"].get("job_id") == job] == [
            (frame.id, frame.name, frame.data) for frame in own
        ]
    url = f"ws://127.0.0.1:{port}/api/gateway/ws?last_event_id={own[0].id}"
    async with connect(url, additional_headers=key, proxy=None) as client:
        again = await _heard(client, "succeeded")
    assert [event["id"] for event in again if event["data"].get("job_id") == job] == [frame.id for frame in own[1:]]


async def _heard(client: ClientConnection, last: str) -> list[dict[str, Any]]:
    """Return the events up to one of this type or status."""
    heard: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not heard or last not in {heard[-1]["type"], heard[-1]["data"].get("status")}:
            heard.append(json.loads(await client.recv()))
    return heard


async def test_a_websocket_gives_the_reason_for_its_end(gate: Gate, port: int) -> None:
    key = {"X-API-Key": gate.keyring.alice}
    async with connect(f"ws://127.0.0.1:{port}/api/gateway/ws", additional_headers=key, proxy=None) as client:
        assert json.loads(await client.recv())["type"] == "snapshot"
        gate.app.drain()
        assert (await _heard(client, "end"))[-1]["data"] == {"reason": "draining"}
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1001


@pytest.mark.parametrize("overrides", [{"socket_messages_per_minute": 3}])
@pytest.mark.parametrize("path", ["/ws", "/api/gateway/ws"])
async def test_a_client_that_sends_too_many_messages_is_disconnected(gate: Gate, port: int, path: str) -> None:
    key = {"X-API-Key": gate.keyring.alice}
    async with connect(f"ws://127.0.0.1:{port}{path}", additional_headers=key, proxy=None) as client:
        for _ in range(4):
            await client.send("{}")
        async with asyncio.timeout(60):
            await client.wait_closed()
        assert (client.close_code, client.close_reason) == (1008, "too_many_messages")


@pytest.mark.parametrize("overrides", [{"idle_seconds": 0.2}])
async def test_a_client_that_does_not_read_is_disconnected(gate: Gate, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        path = f"{EVENTS}?types=job_preview,job_status"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {gate.keyring.alice}\r\n\r\n".encode())
        await until(lambda: len(gate.app.services.open_streams))
        job = await submit(gate.alice)
        await taken(gate, job)
        await gate.comfy.begin(job)
        await until(lambda: _flooded(gate, job))
    channel = gate.app.services.channels.of(gate.app.services.tracker.of_owner(None)[0].owner)
    assert channel.bytes < 10_000


async def _flooded(gate: Gate, job: str) -> bool:
    """Send previews until the gateway disconnects the client that does not read; none is kept."""
    live = gate.app.services.tracker.get(job)
    assert live is not None
    for _ in range(10):
        await gate.comfy.preview(job, size=200_000)
    return not len(gate.app.services.open_streams)
