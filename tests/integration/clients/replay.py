"""One conversation with a server of the Comfy API v2, written down so that two servers' answers can be compared."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from blake3 import blake3

from tests.integration.clients.site import until, workflow
from tests.unit.gateway.fake import PNG

Shape = Any
"""A type's name, or the shapes of what is inside: {member: shape}, [shape of the first item]."""

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
HASH = f"blake3:{blake3(PNG).hexdigest()}"
OTHER_PNG = PNG + b"other"
FINAL = {"succeeded", "failed", "canceled", "expired"}


@dataclass
class Answer:
    """What a server said in one place of the conversation."""

    status: int
    kind: str
    """Its content type, without parameters."""
    body: Any
    retry_after: bool

    @property
    def shape(self) -> Shape:
        return shape(self.body)


def shape(value: Any) -> Shape:  # noqa: ANN401 - any JSON
    """Return the types of a value; texts that say what they are (times, URLs, hashes, codes) by what they are."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return _text(value) if isinstance(value, str) else "number" if _is_number(value) else type(value).__name__


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(text: str) -> str:
    forms = {
        "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)",
        "url": r"(https?://[^/]+)?/api/v2/\S+",
        "hash": r"blake3:[0-9a-f]{64}",
        "media type": r"[a-z]+/[a-z0-9.+-]+",
    }
    return next((name for name, form in forms.items() if re.fullmatch(form, text)), "str")


@dataclass
class Conversation:
    """Asks a server everything, in an order that leads both servers through the same states."""

    client: httpx.Client
    answers: dict[str, Answer] = field(default_factory=dict)

    def ask(self, name: str, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401 - httpx's own
        """Send a request, write the answer down under `name`, and return its JSON."""
        response = self.client.request(method, path, **request)
        kind = response.headers.get("content-type", "").partition(";")[0]
        body = response.json() if kind.endswith("json") and response.content else None
        self.answers[name] = Answer(response.status_code, kind, body, "retry-after" in response.headers)
        return body

    def submit(self, name: str, graph: object, headers: dict[str, str] | None = None, **more: object) -> Any:  # noqa: ANN401
        return self.ask(name, "POST", "/api/v2/jobs", json={"workflow": graph, **more}, headers=headers)

    def upload(self, name: str, content: bytes = PNG, path: str = "photo.png", **fields: str) -> Any:  # noqa: ANN401
        data = {"content_type": "image/png", "file_path": path} | fields
        return self.ask(name, "POST", "/api/v2/assets", files={"file": (path, content, "image/png")}, data=data)

    def until(self, job: str, reached: Callable[[str], bool]) -> None:
        until(lambda: reached(self.client.get(f"/api/v2/jobs/{job}").json()["status"]), f"job {job}")

    def follow(self, job: str) -> None:
        """Read a job's events to their end and write down the first of each name, and the last."""
        with self.client.stream("GET", f"/api/v2/jobs/{job}/events") as response:
            kind = response.headers["content-type"].partition(";")[0]
            name = ""
            for line in response.iter_lines():
                if line.startswith("event:"):
                    name = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    data = json.loads(line.removeprefix("data:"))
                    final = name == "status" and data["status"] in FINAL
                    answer = Answer(response.status_code, kind, data, retry_after=False)
                    self.answers.setdefault(f"event {'final status' if final else name}", answer)


def replayed(client: httpx.Client) -> dict[str, Answer]:
    """Hold the whole conversation; returns every answer by its name."""
    talk = Conversation(client)
    for part in (_jobs, _failures, _bodies, _idempotency, _labels, _assets, _asset_faults, _credentials):
        part(talk)
    return talk.answers


def _jobs(talk: Conversation) -> None:
    talk.ask("health", "GET", "/api/v2/health")
    talk.ask("no jobs yet", "GET", "/api/v2/jobs")
    # Slow enough that whoever follows it from now on hears it begin.
    job = talk.submit("submitted", workflow(text="a slow one [stand-in: slow 6]", seed=2))["id"]
    second = talk.submit("submitted behind", workflow(seed=3))["id"]
    talk.until(job, lambda status: status == "running")
    talk.ask("a running job", "GET", f"/api/v2/jobs/{job}")
    talk.ask("a waiting job", "GET", f"/api/v2/jobs/{second}")
    talk.ask("a waiting job cancelled", "POST", f"/api/v2/jobs/{second}/cancel")
    talk.follow(job)
    done = talk.ask("a finished job", "GET", f"/api/v2/jobs/{job}")
    talk.ask("its workflow", "GET", f"/api/v2/jobs/{job}/workflow")
    talk.ask("a finished job cancelled", "POST", f"/api/v2/jobs/{job}/cancel")
    output = done["outputs"][0]["id"]
    talk.ask("an output", "GET", f"/api/v2/assets/{output}")
    talk.ask("an output's bytes", "GET", f"/api/v2/assets/{output}/content")
    talk.ask("a part of them", "GET", f"/api/v2/assets/{output}/content", headers={"Range": "bytes=0-3"})
    talk.ask("a part beyond them", "GET", f"/api/v2/assets/{output}/content", headers={"Range": "bytes=99999999-"})
    _running_cancelled(talk)
    _listed(talk)


def _running_cancelled(talk: Conversation) -> None:
    job = talk.submit("a third", workflow(text="[stand-in: slow 5]", seed=4))["id"]
    talk.until(job, lambda status: status == "running")
    talk.ask("a running job cancelled", "POST", f"/api/v2/jobs/{job}/cancel")
    talk.until(job, lambda status: status in FINAL)
    talk.ask("a cancelled job", "GET", f"/api/v2/jobs/{job}")
    talk.ask("a cancelled job's workflow", "GET", f"/api/v2/jobs/{job}/workflow")


def _listed(talk: Conversation) -> None:
    talk.ask("jobs", "GET", "/api/v2/jobs")
    talk.ask("one job a page", "GET", "/api/v2/jobs", params={"limit": 1})
    talk.ask("jobs of a status", "GET", "/api/v2/jobs", params={"status": "succeeded,failed"})
    talk.ask("jobs of a status that none has", "GET", "/api/v2/jobs", params={"status": "expired"})
    talk.ask("a page of no size", "GET", "/api/v2/jobs", params={"limit": "0"})
    talk.ask("a page too large", "GET", "/api/v2/jobs", params={"limit": "101"})
    talk.ask("a page of no number", "GET", "/api/v2/jobs", params={"limit": "x"})
    talk.ask("an unknown status", "GET", "/api/v2/jobs", params={"status": "asleep"})


def _failures(talk: Conversation) -> None:
    # Behind one that takes a while: otherwise it may have failed by the time that its submission is answered.
    talk.submit("one that goes first", workflow(text="[stand-in: slow 0.2]", seed=4))
    job = talk.submit("one that will fail", workflow(text="[stand-in: oom]", seed=5))["id"]
    talk.until(job, lambda status: status in FINAL)
    talk.ask("a failed job", "GET", f"/api/v2/jobs/{job}")
    talk.follow(job)
    for suffix, method in (("", "GET"), ("/workflow", "GET"), ("/events", "GET"), ("/cancel", "POST")):
        talk.ask(f"no such job{suffix}", method, f"/api/v2/jobs/{UNKNOWN_ID}{suffix}")
        talk.ask(f"no job's id{suffix}", method, f"/api/v2/jobs/x{suffix}")


def _bodies(talk: Conversation) -> None:
    path, headers = "/api/v2/jobs", {"Content-Type": "application/json"}
    talk.ask("a body that is no JSON", "POST", path, content=b"{", headers=headers)
    talk.ask("a body without a workflow", "POST", path, json={})
    talk.submit("a workflow that is a number", 5)
    talk.submit("a workflow without nodes", {})
    talk.submit("a workflow of an unknown class", {"1": {"class_type": "NoSuchNode", "inputs": {}}})
    talk.submit("a workflow in the editor's form", {"nodes": [], "links": []})
    talk.submit("reserved inputs", workflow(), inputs={"1": 2})
    talk.submit("extra data that is unknown", workflow(), extra_data={"x": 1})
    talk.submit("metadata that is a number", workflow(), metadata=5)
    talk.submit("metadata that is long", workflow(), metadata="x" * 1025)
    talk.submit("a priority that is a text", workflow(), priority="high")
    talk.submit("a priority out of range", workflow(), priority=10**7)
    reference = {"__type": "core/ASSET", "info": {"id": UNKNOWN_ID}}
    talk.submit("an asset that is missing", {"1": {"class_type": "LoadImage", "inputs": {"image": reference}}})
    talk.submit(
        "an asset without an id", {"1": {"class_type": "LoadImage", "inputs": {"image": {**reference, "info": 1}}}}
    )


def _idempotency(talk: Conversation) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    talk.submit("under a key", workflow(seed=6), key)
    talk.submit("the same again under the key", workflow(seed=6), key)
    talk.submit("another under the key", workflow(seed=7), key)
    talk.submit("under an empty key", workflow(seed=8), {"Idempotency-Key": ""})
    talk.submit("under a long key", workflow(seed=8), {"Idempotency-Key": "x" * 256})


def _labels(talk: Conversation) -> None:
    job = talk.submit("with a label and a priority", workflow(seed=9), metadata="shoot 7", priority=-3)["id"]
    talk.ask("the job with a label", "GET", f"/api/v2/jobs/{job}")
    talk.until(job, lambda status: status in FINAL)


def _assets(talk: Conversation) -> None:
    known = f"/api/v2/assets/by-hash/{HASH}"
    talk.ask("bytes not known", "HEAD", known)
    talk.ask("from bytes not known", "POST", "/api/v2/assets/from-hash", json={"hash": HASH})
    asset = talk.upload("uploaded", expected_hash=HASH)["id"]
    talk.upload("uploaded again")
    talk.ask("bytes known", "HEAD", known)
    talk.ask("from bytes known", "POST", "/api/v2/assets/from-hash", json={"hash": HASH})
    talk.ask("an asset", "GET", f"/api/v2/assets/{asset}")
    talk.ask("an asset's bytes", "GET", f"/api/v2/assets/{asset}/content")
    loaded = {"__type": "core/ASSET", "info": {"id": asset}}
    graph = workflow("image_to_image", seed=10)
    graph["2"]["inputs"]["image"] = loaded
    talk.submit("with an asset", graph)
    spare = talk.upload("uploaded to be deleted", OTHER_PNG, "spare.png")["id"]
    talk.ask("deleted", "DELETE", f"/api/v2/assets/{spare}")
    talk.ask("deleted again", "DELETE", f"/api/v2/assets/{spare}")
    talk.ask("a deleted asset", "GET", f"/api/v2/assets/{spare}")


def _asset_faults(talk: Conversation) -> None:
    talk.upload("bytes of another hash", OTHER_PNG, "x.png", expected_hash="blake3:" + "0" * 64)
    talk.upload("a path that climbs", OTHER_PNG, "../photo.png")
    talk.upload("a path from the root", OTHER_PNG, "/etc/photo.png")
    talk.upload("a model", OTHER_PNG, "models/checkpoints/x.safetensors")
    talk.ask("no form", "POST", "/api/v2/assets", json={})
    talk.ask("a form without a file", "POST", "/api/v2/assets", files={"file_path": (None, "x.png")})
    talk.ask("a form without a path", "POST", "/api/v2/assets", files={"file": ("photo.png", OTHER_PNG, "image/png")})
    talk.ask("no hash", "POST", "/api/v2/assets/from-hash", json={})
    talk.ask("from a path", "POST", "/api/v2/assets/from-path", json={"path": "/etc/hostname"})
    for suffix in ("", "/content"):
        talk.ask(f"no such asset{suffix}", "GET", f"/api/v2/assets/{UNKNOWN_ID}{suffix}")
    talk.ask("no asset to delete", "DELETE", f"/api/v2/assets/{UNKNOWN_ID}")


def _credentials(talk: Conversation) -> None:
    bad = {"Authorization": "Bearer nobody"}
    for name, headers in (("no key", {"Authorization": ""}), ("a bad key", bad)):
        for path in ("/api/v2/jobs", f"/api/v2/jobs/{UNKNOWN_ID}", f"/api/v2/assets/{UNKNOWN_ID}"):
            talk.ask(f"{path} with {name}", "GET", path, headers=headers)
    talk.ask("a path that there is not", "GET", "/api/v2/nothing")
    talk.ask("a method that there is not", "PUT", "/api/v2/jobs")
