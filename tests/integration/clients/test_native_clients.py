"""What programs written for ComfyUI do with the gateway in its place: own ids, sockets, /queue and /view."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from tests.integration.clients.site import PATIENCE_SECONDS, Site, until, workflow

pytestmark = pytest.mark.slow

SLOW = "[stand-in: slow 10] a harbour"


@contextmanager
def open_websocket(site: Site, key: str, client_id: str) -> Iterator[ClientConnection]:
    url = f"{site.url.replace('http', 'ws', 1)}/ws?clientId={client_id}"
    headers = {"Authorization": f"Bearer {key}"}
    with connect(url, additional_headers=headers, max_size=None, compression=None, proxy=None) as socket:
        yield socket


def receive_until(socket: ClientConnection, name: str, **data: object) -> tuple[dict[str, Any], list[bytes]]:
    """Return the first event of this name with these members, and the pictures that came before it."""
    pictures = []
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        message = socket.recv(timeout=end - time.monotonic())
        if isinstance(message, bytes):
            pictures.append(message)
            continue
        event = json.loads(message)
        if event["type"] == name and all(event["data"].get(key) == value for key, value in data.items()):
            return event["data"], pictures


def submit(site: Site, key: str, graph: dict[str, Any], **more: object) -> str:
    with site.client(key) as client:
        answer = client.post("/prompt", json={"prompt": graph, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt_id"])


def test_a_program_follows_its_own_id_to_its_picture(site: Site) -> None:
    own, name = str(uuid.uuid4()), uuid.uuid4().hex
    with open_websocket(site, site.alice, name) as socket, site.client(site.alice) as client:
        assert submit(site, site.alice, workflow(), prompt_id=own, client_id=name) == own
        receive_until(socket, "executing", node=None, prompt_id=own)
        images = client.get(f"/history/{own}").json()[own]["outputs"]["9"]["images"]
        picture = client.get("/view", params=images[0]).content
    assert Image.open(BytesIO(picture)).size == (64, 64)


def test_pictures_come_whole_over_the_socket(site: Site) -> None:
    graph = workflow(seed=5)
    graph["5"]["inputs"] |= {"batch_size": 4, "width": 1024, "height": 1024}
    graph["9"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": graph["9"]["inputs"]["images"]}}
    with open_websocket(site, site.alice, "pictures") as socket:
        job = submit(site, site.alice, graph, client_id="pictures")
        with site.client(site.alice) as client:
            until(lambda: client.get(f"/history/{job}").json(), "the end of the job")
        _, frames = receive_until(socket, "executing", node=None, prompt_id=job)
    results = [Image.open(BytesIO(frame[8:])) for frame in frames if frame[4:8] == b"\0\0\0\x02"]
    assert [(picture.format, picture.size) for picture in results] == [("PNG", (1024, 1024))] * 4


def test_a_bad_workflow_behind_others_is_told(site: Site) -> None:
    bad = workflow(seed=7)
    bad["3"]["inputs"]["sampler_name"] = "nope"
    with open_websocket(site, site.alice, "waiting") as socket, site.client(site.alice) as client:
        for seed in (8, 9):
            submit(site, site.alice, workflow(text=SLOW, seed=seed))
        job = submit(site, site.alice, bad, client_id="waiting")
        told, _ = receive_until(socket, "execution_error", prompt_id=job)
        receive_until(socket, "executing", node=None, prompt_id=job)
        entry = client.get(f"/history/{job}").json()[job]
        error = client.get(f"/api/v2/jobs/{job}").json()["error"]
    assert (told["node_id"], told["node_type"]) == ("3", "KSampler")
    assert entry["status"]["messages"][-1][1]["node_errors"].keys() == error["node_errors"].keys() == {"3"}


def test_no_job_is_ever_in_neither_list(site: Site) -> None:
    jobs = [submit(site, site.alice, workflow(seed=20 + number)) for number in range(6)]
    waiting, looks = set(jobs), 0
    with site.client(site.alice) as client:
        while waiting:
            queue = client.get("/queue").json()
            listed = {item[1] for items in queue.values() for item in items}
            for job in sorted(waiting - listed):
                assert client.get(f"/history/{job}").json(), f"{job} is in neither list at look {looks}"
                waiting.discard(job)
            looks += 1


def test_a_file_is_there_when_its_event_comes(site: Site) -> None:
    small = {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 255}}
    first = {"20": small, "21": {"class_type": "PreviewImage", "inputs": {"images": ["20", 0]}}}
    graph = first | workflow(text=SLOW, seed=30)
    with open_websocket(site, site.alice, "early") as socket, site.client(site.alice) as client:
        job = submit(site, site.alice, graph, client_id="early")
        [file] = receive_until(socket, "executed", node="21", prompt_id=job)[0]["output"]["images"]
        answer = client.get("/view", params=file)
        ended = client.get(f"/history/{job}").json()
        with site.client(site.bob) as other:
            assert other.get("/view", params=file).status_code == 404
        client.post(f"/api/v2/jobs/{job}/cancel").raise_for_status()
    assert Image.open(BytesIO(answer.content)).size == (32, 32)
    assert ended == {}, "the job still runs: the file was not waited for"


def test_what_a_node_repeats_is_nobodys(site: Site) -> None:
    with site.client(site.bob) as bob, site.client(site.alice) as alice:
        theirs = submit(site, site.bob, workflow(seed=40) | {"21": preview()})
        until(lambda: bob.get(f"/history/{theirs}").json(), "the end of another's job")
        [temporary] = bob.get(f"/history/{theirs}").json()[theirs]["outputs"]["21"]["images"]
        upload = {"filename": "u", "subfolder": "", "type": "output"}
        for number, camera in enumerate((upload, upload | {"type": "input"}, temporary)):
            echo = {"class_type": "Preview3D", "inputs": {"model_file": "x", "camera_info": camera}}
            job = submit(site, site.alice, workflow(seed=41 + number) | {"22": echo})
            until(lambda job=job: alice.get(f"/history/{job}").json(), "the end")  # type: ignore[misc]
            outputs = alice.get(f"/api/v2/jobs/{job}").json()["outputs"]
            assert [output["node_id"] for output in outputs] == ["9"]
            assert alice.get("/view", params=camera).status_code == 404
        assert bob.get("/view", params=temporary).status_code == 200


def preview() -> dict[str, Any]:
    return {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
