"""Clients of one gateway that go on through every fault, and record what was acknowledged."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.e2e.checkout import ROOT
from tests.unit.gateway.fake import png

WORKFLOW = json.loads((ROOT / "tests/comfyui/workflows/text_to_image.json").read_text(encoding="utf-8"))
PAUSE_SECONDS = 0.15
SUCCEEDED = "succeeded"
FINAL = (SUCCEEDED, "failed", "canceled")


@dataclass
class Promises:
    """What was answered with success."""

    jobs: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Gateway:
    """An address, which may change, and a key."""

    url: str
    key: str

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:  # noqa: ANN401 - requests' own arguments
        headers = {"Authorization": f"Bearer {self.key}"}
        return requests.request(method, self.url + path, headers=headers, timeout=30, **more)

    def ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz").status_code == 200
        except requests.RequestException:
            return False


def submit(gateway: Gateway, promises: Promises, chance: random.Random) -> None:
    """Submit a job under an id of its own; it counts when the gateway says that it has it."""
    graph = json.loads(json.dumps(WORKFLOW))
    next(n for n in graph.values() if n["class_type"] == "KSampler")["inputs"]["seed"] = chance.randrange(2**48)
    own_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    if gateway.ask("POST", "/prompt", json={"prompt": graph, "prompt_id": own_id}).status_code == 200:
        promises.jobs.append(own_id)


def upload(gateway: Gateway, promises: Promises, chance: random.Random) -> None:
    """Upload a picture under a name of its own; it counts when the gateway says that it has it."""
    name = f"{chance.getrandbits(64):016x}.png"
    if gateway.ask("POST", "/upload/image", files={"image": (name, png())}).status_code == 200:
        promises.uploads.append(name)


@contextmanager
def going_on(gateway: Gateway, seed: int) -> Iterator[Promises]:
    """Two clients that submit and upload, until the block ends."""
    promises, over = Promises(), threading.Event()

    def work(act: Any, chance: random.Random) -> None:  # noqa: ANN401 - submit or upload
        while not over.is_set():
            try:
                act(gateway, promises, chance)
            except requests.RequestException:
                over.wait(PAUSE_SECONDS)
            over.wait(PAUSE_SECONDS)

    clients = [
        threading.Thread(target=work, args=(act, random.Random(f"{seed} {act.__name__}"))) for act in (submit, upload)
    ]
    for client in clients:
        client.start()
    try:
        yield promises
    finally:
        over.set()
        for client in clients:
            client.join()


@dataclass(frozen=True)
class Kept:
    """What became of promises."""

    completed: int
    ended_otherwise: dict[str, str]
    """Reasons, by the ids of jobs that have an end and no picture."""
    lost: list[str]
    """Ids and names that the gateway does not know, or whose content is gone."""


def look(gateway: Gateway, promises: Promises, patience_seconds: float = 300) -> Kept:
    """Wait until every promised job has ended, and look whether everything that was promised is there."""
    documents = {job: _ended(gateway, job, time.monotonic() + patience_seconds) for job in promises.jobs}
    lost = [job for job, document in documents.items() if document is None or not _has_pictures(gateway, document)]
    lost += [name for name in promises.uploads if not _is_there(gateway, {"filename": name, "type": "input"})]
    unsuccessful = {job: found for job, found in documents.items() if found and found["status"] != SUCCEEDED}
    others = {job: str(document["error"]) for job, document in unsuccessful.items()}
    return Kept(len(promises.jobs) - len(others) - len(lost), others, lost)


def _ended(gateway: Gateway, job: str, deadline: float) -> dict[str, Any] | None:
    while time.monotonic() < deadline:
        answer = gateway.ask("GET", f"/api/v2/jobs/{job}")
        if answer.status_code == 404:
            return None
        document: dict[str, Any] = answer.json()
        if document.get("status") in FINAL:
            return document
        time.sleep(0.3)
    return None


def _has_pictures(gateway: Gateway, document: dict[str, Any]) -> bool:
    if document["status"] != SUCCEEDED:
        return True
    places = [f"/api/v2/assets/{output['id']}/content" for output in document["outputs"]]
    return bool(places) and all(gateway.ask("GET", place).content.startswith(b"\x89PNG") for place in places)


def _is_there(gateway: Gateway, params: dict[str, str]) -> bool:
    answer = gateway.ask("GET", "/view", params=params)
    return answer.status_code == 200 and answer.content == png()
