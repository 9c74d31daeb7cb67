"""A client on a real pod: what it was told is kept is there after a stop, on the volume and in what ComfyUI loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from provisioning import contract
from tests.integration.provisioning.conftest import SECRETS
from tests.integration.provisioning.real_pod import RealPod

WORKFLOWS = Path(__file__).parents[2] / "comfyui" / "workflows"

CLIENT = r"""
import json, time, urllib.error, urllib.parse, urllib.request
told = json.loads(TOLD)

def ask(path, body=None, kind="application/json"):
    headers = {"Host": "127.0.0.1", "X-API-Key": told["key"], "Content-Type": kind}
    request = urllib.request.Request(told["url"] + path, body, headers)
    try:
        return urllib.request.urlopen(request, timeout=60).read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{path}: {error.read().decode()}")

def run(graph):
    job = json.loads(ask("/prompt", json.dumps({"prompt": graph}).encode()))["prompt_id"]
    for _ in range(240):
        entry = json.loads(ask("/history/" + job)).get(job)
        if entry:
            assert entry["status"]["status_str"] == "success", entry["status"]
            return [image for output in entry["outputs"].values() for image in output["images"]][0]
        time.sleep(0.5)
    raise SystemExit("the job did not end")

def view(file):
    return ask("/view?" + urllib.parse.urlencode(file)).hex()

if "upload" in told:
    picture = run(told["upload"])
    form = b'--b\r\nContent-Disposition: form-data; name="image"; filename="mine.png"\r\n\r\n'
    content = bytes.fromhex(view(picture))
    ask("/upload/image", form + content + b"\r\n--b--\r\n", "multipart/form-data; boundary=b")
    files = [picture, {"filename": "mine.png", "type": "input", "subfolder": ""}]
else:
    files = told["files"]
    run(told["load"])
print(json.dumps({"files": files, "contents": [view(file) for file in files]}))
"""


async def leave_files(pod: RealPod) -> dict[str, Any]:
    """Draw a picture and upload it; returns the files' names and contents."""
    return await _as_client(pod, {"upload": _graph("text_to_image")})


async def find_files(pod: RealPod, left: dict[str, Any]) -> None:
    """Fail unless they are there, and the upload is what a job loads."""
    graph = _graph("image_to_image")
    for node in graph.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = "mine.png"
    found = await _as_client(pod, {"files": left["files"], "load": graph})
    assert found["contents"] == left["contents"]


async def _as_client(pod: RealPod, told: dict[str, Any]) -> dict[str, Any]:
    told |= {"url": f"http://127.0.0.1:{contract.GATEWAY_PORT}", "key": SECRETS.client_key}
    said = await pod.run("/usr/bin/python3 -", CLIENT.replace("TOLD", repr(json.dumps(told))))
    return dict(json.loads(said))


def _graph(name: str) -> dict[str, Any]:
    return dict(json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8")))
