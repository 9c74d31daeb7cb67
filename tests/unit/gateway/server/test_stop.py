"""A restart of the pod, with the stand-in: its folders are on the container disk, which is empty after a start."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioning.gateway.accounts import key_format
from tests.comfyui.model_files import write_models
from tests.emulator.public_ports import kept_port
from tests.unit.gateway.conftest import until
from tests.unit.gateway.gateway_process import STAND_IN, WORKFLOWS, Setup, finished, is_up, prepare, process, serving

DRAWING: dict[str, Any] = json.loads((WORKFLOWS / "text_to_image.json").read_text())
LOADING: dict[str, Any] = json.loads((WORKFLOWS / "image_to_image.json").read_text())
FOLDERS = ("input", "output", "temp", "user")


@pytest.fixture
def port() -> int:
    return kept_port()


@asynccontextmanager
async def running(setup: Setup, base: Path, port: int) -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway in front of a stand-in whose folders are empty."""
    for folder in FOLDERS:
        shutil.rmtree(base / folder, ignore_errors=True)
    command = (sys.executable, "main.py", "--port", str(port), "--base-directory", str(base), "--disable-metadata")
    async with process(*command, cwd=STAND_IN), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as plain:
        await until(lambda: is_up(plain, "/queue"), seconds=180)
        async with serving(setup), setup.client() as client:
            yield client


async def run(client: httpx.AsyncClient, graph: dict[str, Any]) -> dict[str, str]:
    """Run a job and return its output file as named in the history."""
    answer = await client.post("/prompt", json={"prompt": graph})
    assert answer.status_code == 200, answer.text
    job = answer.json()["prompt_id"]
    await until(lambda: finished(client, job), seconds=180)
    entry = (await client.get(f"/history/{job}")).json()[job]
    assert entry["status"]["status_str"] == "success", entry["status"]
    [image] = [image for output in entry["outputs"].values() for image in output["images"]]
    return dict(image)


def loading(name: str) -> dict[str, Any]:
    """Return a workflow that saves a copy of an image under the same name."""
    graph = json.loads(json.dumps(LOADING))
    for node in graph.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = name
    return dict(graph)


@pytest.mark.slow
@pytest.mark.parametrize("sealed", [False, True])
async def test_acknowledged_changes_survive_a_stop(tmp_path: Path, port: int, sealed: bool) -> None:
    base, key = tmp_path / "disk", key_format.mint()
    write_models(base)
    setup = prepare(
        tmp_path, f"http://127.0.0.1:{port}", files=str(tmp_path / "volume" / "files"), encrypt_at_rest=sealed
    )
    settings = json.loads(setup.config.read_text())
    settings["seed_keys"].append({"name": "admin", "key": key, "scopes": ["client", "admin"]})
    setup.config.write_text(json.dumps(settings))
    async with running(setup, base, port) as client, setup.client() as admin:
        admin.headers["Authorization"] = f"Bearer {key}"
        drawn = await run(client, DRAWING)
        picture = (await client.get("/view", params=drawn)).content
        await client.post("/upload/image", files={"image": ("mine.png", picture)}, data={"subfolder": "a"})
        first = await run(admin, DRAWING)
        await admin.post("/userdata/workflows%2Fa.json", content=b'{"a": 1}')
        await admin.post("/settings", json={"Comfy.Locale": "de"})
    async with running(setup, base, port) as client, setup.client() as admin:
        admin.headers["Authorization"] = f"Bearer {key}"
        assert (await client.get("/view", params=drawn)).content == picture
        preview = await client.get("/view", params=drawn | {"preview": "webp;80"})
        assert preview.headers["content-type"] == "image/webp"
        await run(client, loading("a/mine.png"))
        second = await run(admin, DRAWING)
        assert second["filename"] != first["filename"], "ComfyUI counts on"
        await run(admin, loading(f"{first['filename']} [output]"))
        saved = await admin.get("/userdata/workflows%2Fa.json")
        assert saved.content == b'{"a": 1}'
        assert (await admin.get("/settings")).json()["Comfy.Locale"] == "de"
