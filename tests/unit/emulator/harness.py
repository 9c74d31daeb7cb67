"""A RunPod for one test: the real application, a runtime that runs nothing, and a clock that stands still."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from tests.emulator.app import attended, create_app
from tests.emulator.clock import Clock
from tests.emulator.emulator import Emulator, assemble
from tests.emulator.runtimes import ContainerSpec, ContainerStatus, PlainVolumes, Volumes
from tests.emulator.state import State

NOON = 1_780_315_200.0
"""2026-06-01T12:00:00Z."""
POD: dict[str, Any] = {"name": "p", "image": "img", "gpu": {"id": "NVIDIA GeForce RTX 4090"}}
KEY = "key-of-one"


@dataclass
class FakeRuntime:
    """Remembers what it was asked to run."""

    directory: Path
    name: str = "fake"
    limits: tuple[str, ...] = ()
    volumes: Volumes = field(default_factory=lambda: PlainVolumes("it runs nothing"))
    running: dict[str, ContainerSpec] = field(default_factory=dict)
    started: list[ContainerSpec] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    addresses: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    exit_code: int | None = None

    async def start(self, spec: ContainerSpec) -> None:
        self.started.append(spec)
        self.running[spec.pod_id] = spec

    async def stop(self, pod_id: str) -> None:
        self.running.pop(pod_id, None)

    async def remove(self, pod_id: str) -> None:
        await self.stop(pod_id)
        self.removed.append(pod_id)

    async def status(self, pod_id: str) -> ContainerStatus:
        return ContainerStatus(running=pod_id in self.running, exit_code=self.exit_code, started_at=None)

    async def adopt(self, specs: Mapping[str, ContainerSpec]) -> None:
        self.running = {key: spec for key, spec in self.running.items() if key in specs}

    def address(self, pod_id: str, private_port: int) -> tuple[str, int]:
        return self.addresses[pod_id, private_port]

    def log_path(self, pod_id: str) -> Path:
        return self.directory / f"{pod_id}.log"

    async def inner_listener(self, pod_id: str, port: int) -> socket.socket | None:
        return None

    async def close(self) -> None:
        pass


@dataclass
class Api:
    """The emulator as a client sees it, and as it is."""

    emu: Emulator
    runtime: FakeRuntime
    client: TestClient[Any, Any]

    async def call(
        self, method: str, path: str, body: object = None, *, key: str = KEY, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return status and content of a call; content is None where there is none."""
        own = {"Authorization": f"Bearer {key}"} if key else {}
        async with self.client.request(method, path, json=body, headers=own | dict(headers or {})) as response:
            is_json = response.content_type.endswith("json")
            return response.status, await response.json(content_type=None) if is_json else await response.text() or None

    async def make(self, **members: object) -> dict[str, Any]:
        """Create a pod and return it."""
        status, pod = await self.call("POST", "/v2/pods", POD | members)
        assert status == 201, pod
        return dict(pod)

    async def make_running(self, **members: object) -> dict[str, Any]:
        """Create a pod, wait until its container runs, and return it."""
        pod = await self.make(**members)
        await self.come_up()
        return await self.pod(pod["id"])

    async def pod(self, pod_id: str) -> dict[str, Any]:
        """Return a pod as it is shown now."""
        status, pod = await self.call("GET", f"/v2/pods/{pod_id}")
        assert status == 200, pod
        return dict(pod)

    async def act(self, pod_id: str, action: str) -> tuple[int, Any]:
        """Ask for an action on a pod."""
        return await self.call("POST", f"/v2/pods/{pod_id}/action", {"action": action})

    async def control(self, path: str, body: object) -> object:
        """Use the control plane."""
        status, answer = await self.call("POST", f"/_emulator/{path}", body)
        assert status == 200, answer
        return answer

    async def come_up(self) -> None:
        """Let pods go from placed to RUNNING, and from RUNNING to a container that runs."""
        await self.pass_time(1)
        await self.pass_time(1)

    async def pass_time(self, seconds: float) -> None:
        """Move the clock and let everybody who waited for it go on."""
        self.emu.clock.advance(seconds)
        for _ in range(50):
            await asyncio.sleep(0)


@asynccontextmanager
async def running(directory: Path, runtime: FakeRuntime | None = None) -> AsyncIterator[Api]:
    """Run an emulator; at the end every call must have been as RunPod's document says."""
    state = State.load(directory)
    used = runtime or FakeRuntime(directory)
    emu = assemble(state, Clock(base=lambda: NOON, offset=state.clock_offset), used)
    async with TestClient(TestServer(create_app(emu))) as client, attended(emu):
        yield Api(emu, used, client)
    assert list(emu.violations) == []
