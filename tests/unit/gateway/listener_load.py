"""Many event streams and WebSockets on one gateway process, and the memory they take."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.unit.gateway.conftest import workflow
from tests.unit.gateway.fake import FakeComfyUI
from tests.unit.gateway.gateway_process import Setup, prepare, run, serving

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
