"""A stand-in on a loopback port of its own for each test, with the models it publishes."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestClient, TestServer

from tests.comfyui import publish
from tests.comfyui.source.standin.arguments import read
from tests.comfyui.source.standin.server import Server

Workflow = dict[str, dict[str, Any]]
Json: TypeAlias = Any
"""What a server answered; the tests say what is in it."""

WORKFLOWS = Path(__file__).parents[2] / "comfyui" / "workflows"


def workflow(name: str) -> Workflow:
    loaded: Workflow = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def small(text: str = "a lighthouse", seed: int = 1, steps: int = 2) -> Workflow:
    """Return the usual workflow at the smallest size that shows something."""
    made = workflow("text_to_image")
    made["6"]["inputs"]["text"] = text
    made["3"]["inputs"] |= {"seed": seed, "steps": steps}
    made["5"]["inputs"] |= {"width": 64, "height": 64}
    return made


class Comfy:
    """A client of one stand-in."""

    def __init__(self, client: TestClient[Any, Any], server: Server) -> None:
        self.client = client
        self.server = server
        self.base = server.options.base

    async def post(self, path: str, body: object, status: int = 200) -> Json:
        async with self.client.post(path, json=body) as response:
            assert response.status == status, await response.text()
            return await response.json() if response.content_type == "application/json" else None

    async def get(self, path: str, status: int = 200) -> Json:
        async with self.client.get(path) as response:
            assert response.status == status, await response.text()
            return await response.json() if response.content_type == "application/json" else await response.read()

    async def submit(self, prompt: Workflow, **more: object) -> str:
        answer = await self.post("/prompt", {"prompt": prompt, **more})
        return str(answer["prompt_id"])

    async def result(self, prompt_id: str) -> dict[str, Any]:
        async with asyncio.timeout(90):
            while not (found := await self.get(f"/history/{prompt_id}")):  # noqa: ASYNC110 - it has no event for this
                await asyncio.sleep(0.005)
        entry: dict[str, Any] = found[prompt_id]
        return entry

    async def run(self, prompt: Workflow, **more: object) -> dict[str, Any]:
        return await self.result(await self.submit(prompt, **more))

    async def picture(self, prompt: Workflow) -> bytes:
        outputs = (await self.run(prompt))["outputs"]
        image = next(iter(outputs.values()))["images"][0]
        body = await self.get(f"/view?filename={image['filename']}&subfolder={image['subfolder']}&type={image['type']}")
        assert isinstance(body, bytes)
        return body

    async def until_running(self, prompt_id: str) -> None:
        async with asyncio.timeout(90):
            while prompt_id not in [item[1] for item in (await self.get("/queue"))["queue_running"]]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def socket(self, client_id: str) -> ClientWebSocketResponse:
        return await self.client.ws_connect(f"/ws?clientId={client_id}")


async def events(socket: ClientWebSocketResponse, until: str) -> list[dict[str, Any]]:
    """Return the text events up to and with the first of type `until`; binary ones are left out."""
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(90):
        while not seen or seen[-1]["type"] != until:
            message = await socket.receive()
            if isinstance(message.data, str):
                seen.append(json.loads(message.data))
    return seen


def new_id() -> str:
    return str(uuid.uuid4())


Start = Callable[..., Any]


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("published")
    publish(directory)
    return directory


@pytest.fixture
async def start(tmp_path: Path, published: Path) -> AsyncIterator[Start]:
    clients: list[TestClient[Any, Any]] = []

    async def begin(*flags: str, step_seconds: str = "0") -> Comfy:
        base = tmp_path / f"base{len(clients)}"
        base.mkdir(exist_ok=True)
        arguments = ["--base-directory", str(base), "--models-directory", str(published / "models"), *flags]
        server = Server(read(arguments, {"STAND_IN_STEP_SECONDS": step_seconds}))
        clients.append(TestClient(TestServer(server.app)))
        await clients[-1].start_server()
        return Comfy(clients[-1], server)

    yield begin
    for client in clients:
        await client.close()


@pytest.fixture
async def comfy(start: Start) -> Comfy:
    started = await start()
    assert isinstance(started, Comfy)
    return started
