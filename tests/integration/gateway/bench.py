"""A gateway and ComfyUI's stand-in as processes on one volume, killed at will, and orders that must all be served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx

from provisioning.gateway.accounts import key_format
from provisioning.gateway.core.database.log import rebuild
from tests.comfyui.model_files import write_models
from tests.emulator.public_ports import kept_port
from tests.integration.gateway import children
from tests.unit.gateway.conftest import until
from tests.unit.gateway.gateway_process import WORKFLOWS, Setup, is_up, prepare

START_SECONDS = 120.0


@dataclass
class Volume:
    """What outlives every kill: the database's log, ComfyUI's folders, the settings."""

    folder: Path
    comfy_port: int = field(default_factory=kept_port)
    setup: Setup = field(init=False)

    def __post_init__(self) -> None:
        write_models(self.folder)
        self.setup = prepare(self.folder, f"http://127.0.0.1:{self.comfy_port}", log=str(self.folder / "log"))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Look into the database, whoever writes to it just now."""
        deadline = time.monotonic() + 120
        while True:
            try:
                return self.setup.rows(sql)
            except sqlite3.OperationalError:
                assert time.monotonic() < deadline

    async def gateway(self) -> BaseProcess:
        """Start a gateway, on an empty container disk, and wait until it is up."""
        rebuild.remove(self.setup.database)
        started = spawn(children.gateway, str(self.setup.config))
        async with self.setup.client() as client:
            await until_up(client, "/livez", started)
        return started

    async def comfyui(self) -> BaseProcess:
        """Start a stand-in and wait until it is up."""
        started = spawn(children.comfyui, str(self.comfy_port), str(self.folder))
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.comfy_port}", trust_env=False, timeout=60
        ) as client:
            await until_up(client, "/queue", started)
        return started

    def pictures(self) -> Counter[str]:
        """Return how many pictures ComfyUI has saved for each job."""
        return Counter(path.parent.name for path in (self.folder / "output").rglob("*.png"))


def spawn(target: Callable[..., None], *arguments: str) -> BaseProcess:
    """Start one of `children`'s."""
    # Forked from a process that has imported everything already: a start costs milliseconds instead of seconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([children.__name__])
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


async def until_up(client: httpx.AsyncClient, path: str, process: BaseProcess) -> None:
    """Wait until a process answers at a path."""
    async with asyncio.timeout(START_SECONDS):
        while not await is_up(client, path):
            assert process.is_alive(), "it ended by itself"
            await asyncio.sleep(0.05)


async def kill(*processes: BaseProcess) -> None:
    """SIGKILL, to all at once: nothing is flushed, nothing is said."""
    for process in processes:
        process.kill()
    for process in processes:
        await asyncio.to_thread(process.join)


@dataclass
class Orders:
    """A client that gives every order up only once it is served: the same key again until the answer came."""

    volume: Volume
    width: int = 6
    """Unfinished orders at any moment."""
    jobs: dict[str, str] = field(default_factory=dict)
    """Job by order."""
    _closed: bool = False

    @contextlib.asynccontextmanager
    async def coming(self) -> AsyncIterator[None]:
        """Place orders all the while; on leaving, no more, and every one placed has its job's id."""
        tasks = [asyncio.create_task(self._place(number)) for number in range(self.width)]
        try:
            yield
        finally:
            self._closed = True
            await asyncio.gather(*tasks)

    async def _place(self, number: int) -> None:
        count = 0
        async with self.volume.setup.client() as client:
            while not self._closed:
                order = f"order-{number}-{count}"
                self.jobs[order] = await self._submit(client, order, count * 100 + number)
                await self._wait(client, self.jobs[order])
                count += 1

    async def _submit(self, client: httpx.AsyncClient, order: str, seed: int) -> str:
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.post(
                    "/api/v2/jobs", json={"workflow": workflow(seed)}, headers={"Idempotency-Key": order}
                )
                if answer.status_code == 201:
                    return str(answer.json()["id"])
                assert answer.status_code in {409, 429, 502, 503, 504}, answer.text
            await asyncio.sleep(0.05)

    async def _wait(self, client: httpx.AsyncClient, job: str) -> None:
        while not self._closed:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.get(f"/api/v2/jobs/{job}")
                if answer.status_code == 200 and answer.json()["completed_at"]:
                    return
            await asyncio.sleep(0.1)


def workflow(seed: int) -> dict[str, Any]:
    """Return a workflow that takes some tenths of a second and no other job's result."""
    graph: dict[str, Any] = json.loads((WORKFLOWS / "text_to_image.json").read_text())
    for node in graph.values():
        inputs = node["inputs"]
        inputs |= {"seed": seed} if "seed" in inputs else {}
        inputs |= {"steps": 8} if "steps" in inputs else {}
    return graph


async def reach(volume: Volume, state: str, seconds: float = 20.0) -> bool:
    """Wait until some job is in a state; False when none was in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if await asyncio.to_thread(volume.rows, f"SELECT 1 FROM jobs WHERE state = '{state}' LIMIT 1"):  # noqa: S608
            return True
        # Each look takes the file's lock for a moment: the gateway must get at it as well.
        await asyncio.sleep(0.01)
    return False


async def settle(volume: Volume, seconds: float = 240.0) -> None:
    """Wait until every job has its end."""
    await until(lambda: not volume.rows("SELECT 1 FROM jobs WHERE finished_at IS NULL LIMIT 1"), seconds)


def with_admin(volume: Volume) -> httpx.AsyncClient:
    """Give the volume's settings an admin's key; returns a client that bears it."""
    token = key_format.mint()
    settings = json.loads(volume.setup.config.read_text())
    settings["seed_keys"].append({"name": "admin", "key": token, "scopes": ["admin"]})
    volume.setup.config.write_text(json.dumps(settings))
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{volume.setup.port}", headers={"X-API-Key": token}, trust_env=False, timeout=60
    )
