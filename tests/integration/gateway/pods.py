"""Two pods on one volume: a gateway, a stand-in of ComfyUI and a container disk each, and orders for whoever serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx

from provisioning.gateway.accounts import key_format
from tests.comfyui.model_files import write_models
from tests.emulator.public_ports import kept_port
from tests.integration.gateway import children
from tests.integration.gateway.bench import kill, spawn, until_up, workflow
from tests.unit.gateway.gateway_process import Setup, is_up, prepare

KEY = key_format.mint()


@dataclass
class Pod:
    """A pod's processes and what they are started with."""

    shared: Path
    name: str
    silence_seconds: float = 10.0
    comfy_port: int = field(default_factory=kept_port)
    setup: Setup = field(init=False)
    running: list[BaseProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        folder = self.shared / self.name
        folder.mkdir()
        write_models(folder)
        self.setup = prepare(
            folder,
            f"http://127.0.0.1:{self.comfy_port}",
            log=str(self.shared / "log"),
            pod_id=self.name,
            silence_seconds=self.silence_seconds,
            volume_patience_seconds=0.5,
            seed_keys=[{"name": "client", "key": KEY, "scopes": ["client"]}],
        )
        self.setup.key = KEY

    @property
    def stall(self) -> Path:
        """A file: while it is there, this pod's volume stalls."""
        return self.shared / f"{self.name}-stalls"

    async def comfyui(self) -> BaseProcess:
        """Start the stand-in and wait until it answers."""
        started = spawn(children.comfyui, str(self.comfy_port), str(self.setup.config.parent))
        self.running.append(started)
        async with self.comfyui_client() as client:
            await until_up(client, "/queue", started)
        return started

    async def gateway(self) -> BaseProcess:
        """Start the gateway and wait until it lives; it may stand by."""
        started = spawn(children.stalling_gateway, str(self.setup.config), str(self.stall))
        self.running.append(started)
        async with self.setup.client() as client:
            await until_up(client, "/livez", started)
        return started

    def comfyui_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.comfy_port}", trust_env=False, timeout=60)

    async def is_ready(self) -> bool:
        async with self.setup.client() as client:
            return await is_up(client, "/readyz")

    async def reason(self) -> str:
        """Return the code with which the gateway refuses."""
        async with self.setup.client() as client:
            with contextlib.suppress(httpx.TransportError):
                return str((await client.get("/queue")).json().get("code", ""))
        return ""

    async def ran(self) -> set[str]:
        """Return the jobs that its ComfyUI ran to their end."""
        async with self.comfyui_client() as client:
            history = (await client.get("/history")).json()
        return {job for job, entry in history.items() if entry["status"]["status_str"] == "success"}

    async def end(self) -> None:
        """Kill what runs."""
        self.stall.unlink(missing_ok=True)
        await kill(*self.running)
        self.running.clear()


@dataclass
class Demand:
    """Clients that submit to whichever pod takes a job, with the same key until it is taken, and wait for its end."""

    pods: list[Pod]
    width: int = 4
    jobs: dict[str, str] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    """How many jobs were taken by each pod."""
    _closed: bool = False

    @contextlib.asynccontextmanager
    async def coming(self) -> AsyncIterator[None]:
        """Place orders all the while; on leaving no more, and every one placed has its job's id."""
        tasks = [asyncio.create_task(self._place(number)) for number in range(self.width)]
        try:
            yield
        finally:
            self._closed = True
            await asyncio.gather(*tasks)

    async def _place(self, number: int) -> None:
        count = 0
        while not self._closed:
            order = f"order-{number}-{count}"
            self.jobs[order] = await self._submit(order, count * 100 + number)
            await self._wait(self.jobs[order])
            count += 1

    async def _submit(self, order: str, seed: int) -> str:
        while True:
            for pod in self.pods:
                with contextlib.suppress(httpx.TransportError, httpx.TimeoutException):
                    async with pod.setup.client() as client:
                        answer = await client.post(
                            "/api/v2/jobs",
                            json={"workflow": workflow(seed)},
                            headers={"Idempotency-Key": order},
                            timeout=15,
                        )
                    if answer.status_code == 201:
                        self.served[pod.name] += 1
                        return str(answer.json()["id"])
                    assert answer.status_code in {409, 429, 502, 503, 504}, answer.text
            await asyncio.sleep(0.05)

    async def _wait(self, job: str) -> None:
        while not self._closed:
            for pod in self.pods:
                with contextlib.suppress(httpx.TransportError, httpx.TimeoutException):
                    async with pod.setup.client() as client:
                        answer = await client.get(f"/api/v2/jobs/{job}", timeout=15)
                    if answer.status_code == 200 and answer.json()["completed_at"]:
                        return
            await asyncio.sleep(0.1)


def states(pod: Pod) -> dict[str, str]:
    """Return every job's state as a pod's gateway knows it."""
    return dict(pod.setup.rows("SELECT id, state FROM jobs"))


def unfinished(pod: Pod) -> int:
    """Return how many jobs have no end yet."""
    return int(pod.setup.rows("SELECT count(*) FROM jobs WHERE finished_at IS NULL")[0][0])
