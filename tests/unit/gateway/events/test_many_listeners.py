"""Many listeners on one gateway process: all of them hear everything, and what they take in memory."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.unit.gateway.conftest import until, workflow
from tests.unit.gateway.fake import FakeComfyUI
from tests.unit.gateway.server.test_process import Setup, prepare, run, serving

MEBIBYTE = 1024 * 1024
AT_ONCE = 50
"""Connections that are opened together: more than a listen queue holds would be refused."""


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


@asynccontextmanager
async def stream(setup: Setup) -> AsyncIterator[asyncio.StreamReader]:
    """Open an event stream by hand: a thousand HTTP clients would take more memory than what is measured."""
    reader, writer = await asyncio.open_connection("127.0.0.1", setup.port)
    head = f"GET /api/gateway/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {setup.key}\r\n\r\n"
    writer.write(head.encode())
    try:
        await reader.readuntil(b"event: snapshot\n")
        yield reader
    finally:
        writer.close()


async def crowd(setup: Setup, stack: AsyncExitStack, streams: int, sockets: int) -> list[asyncio.Task[None]]:
    """Open so many streams and WebSockets; each task ends when its listener has heard of a job's success."""
    limit = asyncio.Semaphore(AT_ONCE)
    readers: list[asyncio.StreamReader] = []
    clients: list[ClientConnection] = []

    async def open_stream() -> None:
        async with limit:
            readers.append(await stack.enter_async_context(stream(setup)))

    async def open_socket() -> None:
        async with limit:
            url = f"ws://127.0.0.1:{setup.port}/api/gateway/ws"
            auth = {"Authorization": f"Bearer {setup.key}"}
            client = connect(url, additional_headers=auth, proxy=None, compression=None, open_timeout=60)
            clients.append(await stack.enter_async_context(client))

    await asyncio.gather(*(open_stream() for _ in range(streams)), *(open_socket() for _ in range(sockets)))
    heard = [_hears_stream(reader) for reader in readers] + [_hears_socket(client) for client in clients]
    return [asyncio.create_task(each) for each in heard]


async def _hears_stream(reader: asyncio.StreamReader) -> None:
    while b'"succeeded"' not in await reader.readline():
        pass


async def _hears_socket(client: ClientConnection) -> None:
    while json.loads(await client.recv())["data"].get("status") != "succeeded":
        pass


async def measure(comfy: tuple[FakeComfyUI, str], folder: Path, streams: int, sockets: int) -> tuple[int, int]:
    """Return the memory of a gateway before and with its listeners, once all have heard of a job's end."""
    fake, url = comfy
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    bounds: dict[str, Any] = {"max_sockets_per_owner": 3000, "max_streams_per_key": 3000}
    setup = prepare(folder, url, **bounds)
    async with serving(setup) as gateway, setup.client() as client, AsyncExitStack() as stack:
        before = resident(gateway.pid)
        heard = await crowd(setup, stack, streams, sockets)
        answer = await client.post("/prompt", json={"prompt": workflow()})
        await run(fake, answer.json()["prompt_id"])
        async with asyncio.timeout(120):
            await asyncio.gather(*heard)
        return before, resident(gateway.pid)


@pytest.mark.slow
async def test_every_one_of_many_hears_and_takes_little(comfy: tuple[FakeComfyUI, str], tmp_path: Path) -> None:
    before, after = await measure(comfy, tmp_path, 100, 20)
    assert (after - before) / 120 < 200 * 1024, (before, after)


@pytest.mark.nightly
async def test_a_thousand_streams_and_two_hundred_sockets_fit_in_200_mb(
    comfy: tuple[FakeComfyUI, str], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    before, after = await measure(comfy, tmp_path, 1000, 200)
    figures = f"{before / MEBIBYTE:.0f} MiB before, {after / MEBIBYTE:.0f} MiB with 1000 streams and 200 WebSockets"
    record_property("memory", figures)
    assert after < 200_000_000, figures
    print(figures)  # noqa: T201 - the figure that this run is for


@pytest.mark.slow
async def test_listeners_that_leave_take_their_memory_with_them(comfy: tuple[FakeComfyUI, str], tmp_path: Path) -> None:
    bounds: dict[str, Any] = {"max_sockets_per_owner": 200, "max_streams_per_key": 200}
    setup = prepare(tmp_path, comfy[1], scopes=("client", "admin"), **bounds)
    async with serving(setup) as gateway, setup.client() as client:
        grown = []
        for _ in range(3):
            async with AsyncExitStack() as stack:
                waiting = await crowd(setup, stack, 40, 5)
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
            await until(lambda: _is_empty(client))
            grown.append(resident(gateway.pid))
    assert grown[2] - grown[0] < 4 * MEBIBYTE, grown


async def _is_empty(client: httpx.AsyncClient) -> bool:
    return "gateway_listeners 0.0" in (await client.get("/metrics")).text
