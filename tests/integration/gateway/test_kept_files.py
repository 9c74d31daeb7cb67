"""SIGKILL of the gateway while files come and are made: what was answered is in the store, whole."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestServer

from provisioning.gateway.assets.store.store import DRAFTS
from tests.unit.gateway.conftest import until, workflow
from tests.unit.gateway.fake import PNG, FakeComfyUI
from tests.unit.gateway.gateway_process import Setup, prepare, serving

pytestmark = pytest.mark.slow

ROUNDS = 8
QUEUED: dict[str, Any] = {"max_queued_per_owner": 100_000}
CHANCE = random.Random(11)  # noqa: S311 - when to kill, and what to upload


@asynccontextmanager
async def drawing() -> AsyncIterator[tuple[FakeComfyUI, str]]:
    """Run a small ComfyUI that ends every job a moment after it came."""
    fake = FakeComfyUI()
    server = TestServer(fake.app(), host="127.0.0.1")
    await server.start_server()

    async def draw() -> None:
        while True:
            await asyncio.sleep(0.02)
            for item in list(fake.pending):
                await fake.begin(item[1])
                content = PNG + item[1].encode()
                await fake.end(item[1], made=("output", "ComfyUI_00001_.png", content))

    works = asyncio.create_task(draw())
    yield fake, f"http://127.0.0.1:{server.port}"
    works.cancel()
    for socket in fake.sockets.values():
        await socket.close()
    await server.close()


async def upload(client: httpx.AsyncClient, kept: dict[str, bytes], name: str) -> None:
    """Upload until the gateway is gone, and note what was answered."""
    number = 0
    with suppress(httpx.TransportError):
        while True:
            number += 1
            content = PNG + CHANCE.randbytes(CHANCE.randrange(300_000))
            answer = await client.post("/upload/image", files={"image": (f"{name}-{number}.png", content)})
            if answer.status_code == 200:
                kept[answer.json()["name"]] = content


async def order(client: httpx.AsyncClient) -> None:
    with suppress(httpx.TransportError):
        while True:
            await client.post("/prompt", json={"prompt": workflow()})
            await asyncio.sleep(0.05)


async def one_kill(setup: Setup, kept: dict[str, bytes], name: str) -> None:
    async with serving(setup) as gateway, setup.client() as client:
        works = [asyncio.create_task(upload(client, kept, f"{name}-{each}")) for each in range(3)]
        works.append(asyncio.create_task(order(client)))
        known = len(kept)
        await until(lambda: len(kept) > known)
        await asyncio.sleep(0.3 + CHANCE.random())
        gateway.kill()
        await asyncio.gather(*works)


def outputs(setup: Setup) -> list[tuple[str, str]]:
    connection = sqlite3.connect(setup.database)
    try:
        return connection.execute("SELECT job_id, id FROM assets WHERE job_id IS NOT NULL").fetchall()
    finally:
        connection.close()


async def test_what_was_answered_outlives_every_kill(tmp_path: Path) -> None:
    kept: dict[str, bytes] = {}
    files = tmp_path / "volume" / "files"
    async with drawing() as (fake, url):
        # The small ComfyUI's jobs ended years ago, by its own clock.
        options: dict[str, Any] = {
            "max_queued_per_owner": 100_000,
            "uploads_per_minute": 100_000,
            "retention_days": 100_000,
        }
        setup = prepare(tmp_path, url, files=str(files), **options)
        for number in range(ROUNDS):
            await one_kill(setup, kept, str(number))
        made = outputs(setup)
        # The disk of the container is new, and ComfyUI answers nothing any more.
        fake.files.clear()
        async with serving(setup), setup.client() as client:
            for name, content in kept.items():
                answer = await client.get("/view", params={"filename": name, "type": "input"})
                assert answer.content == content, name
            for job, asset in made:
                answer = await client.get(f"/api/v2/assets/{asset}/content")
                assert answer.content == PNG + job.encode(), (job, answer.text[:300])
    drafts = len(list((files / DRAFTS).iterdir()))
    assert kept
    assert made
    sys.stderr.write(f"\n{ROUNDS} kills, {len(kept)} uploads, {len(made)} outputs, lost 0; {drafts} drafts stay\n")
