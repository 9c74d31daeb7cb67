"""What clients hear over the socket, and what they do not."""

from __future__ import annotations

import asyncio
import json
import struct
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from PIL import Image

from tests.unit.comfyui.conftest import Comfy, Start, events, small


async def _all(socket: ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Return the events of one job, from the first to the one that says that no node runs any more."""
    seen = await events(socket, "executing")
    while seen[-1]["data"].get("node") is not None:
        seen += await events(socket, "executing")
    return seen


async def test_a_job_is_told_from_beginning_to_end(comfy: Comfy) -> None:
    socket = await comfy.socket("me")
    prompt_id = await comfy.submit(small(), client_id="me")
    seen = await _all(socket)
    kinds = [event["type"] for event in seen if event["type"] not in {"status", "progress_state"}]
    assert kinds == [
        "execution_start", "execution_cached", "executing", "executing", "executing", "executing", "executing",
        "progress", "progress", "executing", "executing", "executed", "execution_success", "executing",
    ]  # fmt: skip
    assert all(event["data"]["prompt_id"] == prompt_id for event in seen if event["type"] != "status")
    assert seen[-1]["data"] == {"node": None, "prompt_id": prompt_id}
    steps = [event["data"] for event in seen if event["type"] == "progress"]
    assert steps == [{"value": value, "max": 2, "prompt_id": prompt_id, "node": "3"} for value in (1, 2)]
    executed = next(event["data"] for event in seen if event["type"] == "executed")
    assert executed["node"] == executed["display_node"] == "9"
    assert executed["output"]["images"][0]["type"] == "output"


async def test_progress_state_follows_every_node(comfy: Comfy) -> None:
    socket = await comfy.socket("me")
    await comfy.submit(small(), client_id="me")
    states = [event["data"]["nodes"] for event in await _all(socket) if event["type"] == "progress_state"]
    assert {node["state"] for node in states[-1].values()} == {"finished"}
    assert set(states[-1]) == set(small())
    assert states[0][next(iter(states[0]))]["state"] == "running"
    assert set(states[0][next(iter(states[0]))]) == {
        "value", "max", "state", "node_id", "prompt_id", "display_node_id", "parent_node_id", "real_node_id",
    }  # fmt: skip


async def test_a_new_socket_is_told_its_id_and_the_queue(comfy: Comfy) -> None:
    (status,) = await events(await comfy.socket("me"), "status")
    assert status["data"] == {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "me"}
    async with comfy.client.ws_connect("/api/ws") as nameless:
        (status,) = await events(nameless, "status")
        assert len(status["data"]["sid"]) == 32


async def test_others_hear_of_the_queue_alone(comfy: Comfy) -> None:
    mine, other = await comfy.socket("me"), await comfy.socket("other")
    await comfy.submit(small(), client_id="me")
    await _all(mine)
    await comfy.submit(small(seed=2), client_id="other")
    heard = await events(other, "execution_start")
    assert {event["type"] for event in heard[:-1]} == {"status"}


async def test_jobs_without_a_client_tell_everybody_their_progress(comfy: Comfy) -> None:
    socket = await comfy.socket("bystander")
    await comfy.submit(small())
    heard = await events(socket, "progress")
    assert "execution_start" not in {event["type"] for event in heard}


async def test_a_cached_output_is_shown_again(comfy: Comfy) -> None:
    await comfy.run(small())
    socket = await comfy.socket("me")
    await comfy.submit(small(), client_id="me")
    kinds = [event["type"] for event in await _all(socket)]
    assert "executed" in kinds
    assert kinds.count("executing") == 1


@pytest.mark.parametrize("announced", [False, True])
async def test_previews_come_in_the_form_the_client_announced(start: Start, announced: bool) -> None:
    comfy = await start("--preview-method", "latent2rgb", "--preview-size", "32")
    socket = await comfy.socket("me")
    if announced:
        await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        assert (await events(socket, "feature_flags"))[-1]["data"]["supports_preview_metadata"] is True
    prompt_id = await comfy.submit(small(), client_id="me")
    frame = await _frame(socket)
    kind, second = struct.unpack(">II", frame[:8])
    assert kind == (4 if announced else 1)
    if announced:
        facts = json.loads(frame[8 : 8 + second])
        assert facts == {
            "node_id": "3", "prompt_id": prompt_id, "display_node_id": "3", "parent_node_id": None,
            "real_node_id": "3", "image_type": "image/jpeg",
        }  # fmt: skip
    with Image.open(BytesIO(frame[8 + (second if announced else 0) :])) as picture:
        assert (picture.format, picture.size) == ("JPEG", (32, 32))


@pytest.mark.parametrize("announced", [False, True])
async def test_a_node_sends_its_pictures_whole_over_the_socket(comfy: Comfy, announced: bool) -> None:
    socket = await comfy.socket("me")
    await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": announced}})
    made = small()
    made["9"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": made["9"]["inputs"]["images"]}}
    for _ in range(2):
        await comfy.submit(made, client_id="me")
        frame = await _frame(socket)
        kind, second = struct.unpack(">II", frame[:8])
        assert (kind, second == 2) == ((4, False) if announced else (1, True))
        if announced:
            assert json.loads(frame[8 : 8 + second])["image_type"] == "image/png"
        with Image.open(BytesIO(frame[8 + (second if announced else 0) :])) as picture:
            assert (picture.format, picture.size) == ("PNG", (64, 64))


async def test_a_node_tells_what_it_was_given_as_if_it_had_made_it(comfy: Comfy) -> None:
    camera = {"filename": "u", "subfolder": "", "type": "output"}
    shown = {"class_type": "Preview3D", "inputs": {"model_file": "x.glb", "camera_info": camera}}
    entry = await comfy.run({"1": shown})
    assert entry["outputs"] == {"1": {"result": ["x.glb", camera, None]}}


async def test_there_are_no_previews_unless_asked_for(comfy: Comfy) -> None:
    socket = await comfy.socket("me")
    await comfy.submit(small(), client_id="me")
    async with asyncio.timeout(90):
        while (message := await socket.receive()).type == WSMsgType.TEXT:
            if json.loads(message.data)["data"].get("node", "") is None:
                return
    pytest.fail("a binary frame came")


async def test_the_last_socket_with_an_id_has_it(comfy: Comfy) -> None:
    await comfy.socket("me")
    second = await comfy.socket("me")
    await comfy.submit(small(), client_id="me")
    assert (await events(second, "execution_success"))[-1]["type"] == "execution_success"


async def test_the_end_of_an_older_socket_silences_the_newer_as_in_comfyui(comfy: Comfy) -> None:
    first = await comfy.socket("me")
    second = await comfy.socket("me")
    other = await comfy.socket("other")
    await events(second, "status")
    await first.close()
    await comfy.submit(small(), client_id="me")
    await comfy.submit(small(seed=2), client_id="other")
    await events(other, "execution_success")
    with pytest.raises(TimeoutError):
        await second.receive(timeout=0.1)


async def test_a_client_that_comes_back_is_told_the_running_node(comfy: Comfy) -> None:
    prompt_id = await comfy.submit(small("[stand-in: slow 30]"), client_id="me")
    watcher = await comfy.socket("me")
    while (heard := (await events(watcher, "executing"))[-1]["data"]["node"]) != "3":
        assert heard is not None
    again = await comfy.socket("me")
    assert (await events(again, "executing"))[-1]["data"] == {"node": "3"}
    await comfy.post("/interrupt", {"prompt_id": prompt_id})


async def test_nonsense_on_the_socket_is_borne(comfy: Comfy) -> None:
    socket = await comfy.socket("me")
    for nonsense in ("not json", "[]", '{"type": 5}'):
        await socket.send_str(nonsense)
    await comfy.submit(small(), client_id="me")
    assert await _all(socket)


async def _frame(socket: ClientWebSocketResponse) -> bytes:
    async with asyncio.timeout(90):
        while (message := await socket.receive()).type != WSMsgType.BINARY:
            assert message.type == WSMsgType.TEXT
    assert isinstance(message.data, bytes)
    return message.data
