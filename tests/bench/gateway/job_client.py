"""A client of ComfyUI's API, which a gateway serves as well: it submits a workflow and downloads the first picture."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

Workflow = dict[str, dict[str, Any]]

JOB_SECONDS = 120.0
"""The longest time that a job may take."""
PNG = b"\x89PNG"


@dataclass(frozen=True)
class JobTimes:
    """Seconds from a job's submission until each step of it."""

    accepted: float
    """The answer to the submission."""
    ended: float
    """The event of the job's end."""
    picture: float
    """The first bytes of its picture."""


class JobClient:
    """One client, on one WebSocket."""

    def __init__(self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, client_id: str) -> None:
        self._http = http
        self._socket = socket
        self._client_id = client_id

    async def run(self, workflow: Workflow) -> JobTimes:
        """Run a workflow and return how long each step took; raises RuntimeError for a job without a picture."""
        async with asyncio.timeout(JOB_SECONDS):
            began = time.perf_counter()
            job_id = await self._submit(workflow)
            accepted = time.perf_counter()
            file = await self._output(job_id)
            ended = time.perf_counter()
            picture = await self._download(file)
            return JobTimes(accepted - began, ended - began, picture - began)

    async def _submit(self, workflow: Workflow) -> str:
        body = {"prompt": workflow, "client_id": self._client_id}
        async with self._http.post("/prompt", json=body) as response:
            if response.status != 200:
                raise RuntimeError(await response.text())
            return str((await response.json())["prompt_id"])

    async def _output(self, job_id: str) -> dict[str, str]:
        """Return the first file that the events of a job name, once the event of its end has come."""
        files: list[dict[str, str]] = []
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                continue
            event, data = _event(message)
            if data.get("prompt_id") != job_id:
                continue
            if event == "executed":
                files += (data["output"] or {}).get("images", [])
            elif event == "execution_error" or (event == "executing" and data["node"] is None and not files):
                raise RuntimeError(f"the job made no picture: {data}")
            elif event == "executing" and data["node"] is None:
                return files[0]

    async def _download(self, file: dict[str, str]) -> float:
        """Download a picture and return when its first bytes came."""
        async with self._http.get("/view", params=file) as response:
            first = await response.content.readany()
            came_at = time.perf_counter()
            if not first.startswith(PNG):
                raise RuntimeError(f"/view answered {response.status}")
            await response.read()
            return came_at


def _event(message: aiohttp.WSMessage) -> tuple[str, dict[str, Any]]:
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise RuntimeError(f"the WebSocket has ended: {message.type.name}")
    event = message.json()
    return event["type"], event.get("data") or {}


@contextlib.asynccontextmanager
async def connected(url: str, key: str = "") -> AsyncIterator[JobClient]:
    """Connect a client to ComfyUI, or with a key to a gateway."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    client_id = uuid.uuid4().hex
    async with (
        aiohttp.ClientSession(url, headers=headers) as http,
        http.ws_connect("/ws", params={"clientId": client_id}, max_msg_size=0) as socket,
    ):
        yield JobClient(http, socket, client_id)
