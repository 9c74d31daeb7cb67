"""The gateway as a process of its own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from provisioning.gateway.accounts import key_format
from tests.emulator.public_ports import kept_port
from tests.unit.gateway.conftest import PEPPER, until
from tests.unit.gateway.fake import FakeComfyUI

ROOT = Path(__file__).parents[3]
STAND_IN = ROOT / "tests" / "comfyui" / "source"
WORKFLOWS = ROOT / "tests" / "comfyui" / "workflows"


@dataclass
class Setup:
    """What a gateway process is started with."""

    config: Path
    port: int
    key: str
    database: Path

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers, trust_env=False, timeout=60)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.database)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


def prepare(folder: Path, upstream: str, scopes: tuple[str, ...] = ("client",), **more: object) -> Setup:
    setup = Setup(folder / "gateway.json", kept_port(), key_format.mint(), folder / "gateway.db")
    settings = {
        "port": setup.port, "upstream": upstream, "database": str(setup.database), "pepper": PEPPER,
        "poll_seconds": 0.2,
        "seed_keys": [{"name": "client", "key": setup.key, "scopes": scopes}], "rate_limit_per_minute": 100000,
    }  # fmt: skip
    setup.config.write_text(json.dumps(settings | more))
    return setup


@asynccontextmanager
async def process(
    *command: str, cwd: Path = ROOT, told: int | IO[bytes] = asyncio.subprocess.DEVNULL
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command, whose output goes to `told`, and end it."""
    started = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdout=told, stderr=told)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


@asynccontextmanager
async def serving(
    setup: Setup, told: int | IO[bytes] = asyncio.subprocess.DEVNULL
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a gateway and wait until it is ready."""
    command = (sys.executable, "-m", "provisioning.gateway", "serve", "--config", str(setup.config))
    async with process(*command, told=told) as started, setup.client() as client:
        await until(lambda: is_up(client, "/readyz"), seconds=180)
        yield started


async def is_up(client: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await client.get(path)).status_code == 200
    except httpx.TransportError:
        return False


async def run(fake: FakeComfyUI, job: str) -> None:
    await until(lambda: any(item[1] == job for item in fake.pending))
    await fake.begin(job)
    await fake.end(job)


async def finished(client: httpx.AsyncClient, job: str) -> bool:
    return job in (await client.get(f"/history/{job}")).json()
