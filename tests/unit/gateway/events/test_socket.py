from __future__ import annotations

import asyncio
import json
import struct

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from provisioning.gateway.accounts import key_format
from provisioning.gateway.events.socket_hub import MAX_BYTES, MAX_MESSAGES, PREVIEW_BYTES, Listener
from provisioning.gateway.upstream.messages import PREVIEW, PREVIEW_WITH_METADATA, kind
from tests.unit.gateway.conftest import HOST, UNKNOWN_KEY, Gate, lose, submit, until
from tests.unit.gateway.fake import PNG
from tests.unit.gateway.websocket_client import expect_nothing, open_websocket, receive_until


async def test_a_socket_receives_only_its_owners_jobs(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice) as alice, open_websocket(port, gate.keyring.bob) as bob:
        job = await submit(gate.alice)
        await gate.comfy.begin(job)
        await gate.comfy.preview(job)
        await gate.comfy.end(job)
        messages = await receive_until(alice, "executing")
        await expect_nothing(bob)
    types = [message["type"] for message in messages if isinstance(message, dict)]
    assert [name for name in types if name != "status"] == [
        "execution_start", "progress", "executed", "execution_success", "executing",
    ]  # fmt: skip
    assert messages[-1]["data"] == {"node": None, "prompt_id": job}
    assert "u/" not in json.dumps([message for message in messages if isinstance(message, dict)])


async def test_the_result_is_available_when_the_end_is_sent(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice) as alice:
        job = await submit(gate.alice)
        await gate.comfy.begin(job)
        await gate.comfy.end(job)
        await receive_until(alice, "executing")
        assert gate.rows("SELECT state FROM jobs") == [("completed",)]


async def test_an_end_found_by_polling_is_sent_too(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice) as alice:
        job = await submit(gate.alice)
        await lose(gate, job)
        await lose(gate, job)
        assert (await receive_until(alice, "executing"))[-1]["data"]["prompt_id"] == job


async def test_previews_have_the_requested_format(gate: Gate, port: int) -> None:
    async with (
        open_websocket(port, gate.keyring.alice, "old") as old,
        open_websocket(port, gate.keyring.alice, "new") as new,
    ):
        await new.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        job = await submit(gate.alice)
        await gate.comfy.begin(job)
        await gate.comfy.preview(job)
        await gate.comfy.end(job)
        for socket, form in ((old, PREVIEW), (new, PREVIEW_WITH_METADATA)):
            [image] = [message for message in await receive_until(socket, "executing") if isinstance(message, bytes)]
            assert kind(image) == form
            assert image.endswith(PNG)


async def test_a_job_with_a_client_id_is_sent_to_that_socket(gate: Gate, port: int) -> None:
    async with (
        open_websocket(port, gate.keyring.alice, "one") as one,
        open_websocket(port, gate.keyring.alice, "two") as two,
    ):
        job = await submit(gate.alice, client_id="two")
        await gate.comfy.begin(job)
        await gate.comfy.end(job)
        await receive_until(two, "executing")
        await expect_nothing(one)


async def test_a_job_with_a_client_id_is_sent_to_no_other_socket(gate: Gate, port: int) -> None:
    token = gate.keyring.alice
    async with (
        open_websocket(port, token, "program-b") as other,
        open_websocket(port, gate.keyring.admin, "editor") as admin,
    ):
        job = await submit(gate.alice, client_id="program-a")
        await gate.comfy.begin(job)
        await gate.comfy.preview(job)
        await receive_until(admin, "progress")
        await expect_nothing(other)
        async with open_websocket(port, token, "program-a") as late:
            await gate.comfy.end(job)
            assert (await receive_until(late, "executing"))[-1]["data"]["prompt_id"] == job
        await receive_until(admin, "executing")
        await expect_nothing(other)


async def test_an_admins_own_job_is_sent_only_to_its_socket(gate: Gate, port: int) -> None:
    token = gate.keyring.admin
    async with open_websocket(port, token, "program-a") as one, open_websocket(port, token, "program-b") as other:
        job = await submit(gate.admin, client_id="program-a")
        await gate.comfy.begin(job)
        await gate.comfy.end(job)
        await receive_until(one, "executing")
        await expect_nothing(other)


async def test_another_users_client_id_receives_nothing(gate: Gate, port: int) -> None:
    async with (
        open_websocket(port, gate.keyring.alice, "same") as alice,
        open_websocket(port, gate.keyring.bob, "same") as bob,
    ):
        job = await submit(gate.alice, client_id="same")
        await gate.comfy.begin(job)
        await gate.comfy.end(job)
        await receive_until(alice, "executing")
        await expect_nothing(bob)
    assert len(gate.comfy.sockets) == 1, "no client's socket reaches ComfyUI"


async def test_an_admin_receives_all_events(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.admin) as admin:
        job = await submit(gate.alice)
        await gate.comfy.begin(job)
        await gate.comfy.end(job)
        assert (await receive_until(admin, "executing"))[-1]["data"]["prompt_id"] == job


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        (None, {}, 401),
        (UNKNOWN_KEY, {}, 401),
        ("good", {"Origin": "https://evil.test"}, 403),
        ("good", {"Origin": "null"}, 403),
        ("good", {"X-API-Key": "x"}, 400),
    ],
)
async def test_invalid_socket_requests_are_refused(
    gate: Gate, port: int, token: str | None, headers: dict[str, str], status: int
) -> None:
    key = gate.keyring.alice if token == "good" else token
    auth = {"Authorization": f"Bearer {key}"} if key else {}
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{port}/ws", additional_headers=auth | headers, proxy=None)
    assert refused.value.response.status_code == status
    assert refused.value.response.body is not None
    assert json.loads(refused.value.response.body)["status"] == status


async def test_other_paths_are_not_sockets(gate: Gate, port: int) -> None:
    for path in ("/queue", "/livez", "/", "/ws/x", "/internal/ws"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"ws://127.0.0.1:{port}{path}", additional_headers={"X-API-Key": gate.keyring.admin}, proxy=None
            )
        assert refused.value.response.status_code == 404


@pytest.mark.parametrize("internal", [{"stream_recheck_seconds": 0.01}])
async def test_a_socket_closes_when_its_key_is_revoked(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice) as alice:
        await gate.store.revoke(key_format.key_id(gate.keyring.alice) or "")
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(60):
                await alice.recv()
        assert alice.close_code == 1008


@pytest.mark.parametrize("overrides", [{"max_sockets_per_owner": 1}])
async def test_sockets_per_user_are_limited(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice), open_websocket(port, gate.keyring.bob):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}/ws", additional_headers={"X-API-Key": gate.keyring.alice}, proxy=None)
    assert refused.value.response.status_code == 429
    assert int(refused.value.response.headers["retry-after"]) >= 1


async def test_a_drain_closes_sockets(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice) as alice:
        gate.app.drain()
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(60):
                await alice.recv()
        assert alice.close_code == 1001


async def test_a_slow_reader_is_disconnected_and_its_memory_freed(gate: Gate) -> None:
    actor = await gate.store.find(gate.keyring.alice)
    by_count, by_bytes, behind = (Listener(actor, "slow") for _ in range(3))
    for number in range(MAX_MESSAGES + 10):
        by_count.put(str(number))
    for _ in range(5):
        by_bytes.put("x" * (MAX_BYTES // 4))
    for listener in (by_count, by_bytes):
        assert (listener.reason, await listener.next()) == ("too_slow", None)
    for _ in range(100):
        behind.put(bytes(PREVIEW_BYTES // 2), preview=True)
    assert behind.reason is None, "previews are skipped for a slow reader"
    assert len([await behind.next() for _ in range(3)]) == 3
    behind.end("draining")
    assert await behind.next() is None


async def test_only_previews_are_skipped(gate: Gate) -> None:
    actor = await gate.store.find(gate.keyring.alice)
    listener, results = Listener(actor, "slow"), [bytes(MAX_BYTES // 20) for _ in range(20)]
    for result in results:
        listener.put(result)
        listener.put(bytes(PREVIEW_BYTES), preview=True)
    assert listener.reason is None
    assert [await listener.next() for _ in results] == results
    longest = bytes(MAX_BYTES + 1)
    listener.put(longest)
    assert (listener.reason, await listener.next()) == (None, longest), "a single message is never too long"
    listener.put(longest)
    listener.put("x")
    assert listener.reason == "too_slow"


@pytest.mark.parametrize("metadata", [False, True])
async def test_images_sent_by_nodes_reach_slow_readers(gate: Gate, port: int, metadata: bool) -> None:
    async with open_websocket(port, gate.keyring.alice, "one") as socket:
        await socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": metadata}}))
        job = await submit(gate.alice, client_id="one")
        await gate.comfy.begin(job)
        sizes = [5_600_000, *[3_000_000] * 8]
        for size in sizes:
            await gate.comfy.preview(job, size, "image/png")
            await gate.comfy.say(struct.pack(">II", PREVIEW, 2) + PNG + bytes(size))
        await gate.comfy.end(job)
        await until(lambda: gate.app.services.tracker.get(job) is None)
        pictures = [message for message in await receive_until(socket, "executing") if isinstance(message, bytes)]
    assert [len(picture) // 100_000 for picture in pictures] == [size // 100_000 for size in sizes for _ in range(2)]


async def test_a_socket_from_the_own_origin_is_accepted(gate: Gate, port: int) -> None:
    async with open_websocket(port, gate.keyring.alice, Origin=f"http://127.0.0.1:{port}"):
        pass
    assert HOST in gate.settings.allowed_hosts
