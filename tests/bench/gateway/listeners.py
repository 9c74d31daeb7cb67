"""How much memory a gateway takes whose events many follow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from aiohttp.test_utils import TestServer

from tests.bench.gateway.table import Row, verdict
from tests.unit.gateway import listener_load
from tests.unit.gateway.fake import FakeComfyUI

STREAMS, SOCKETS = 1000, 200
LIMIT_MB = 200.0
MEGABYTE = 1_000_000


def measured(folder: Path, streams: int = STREAMS, sockets: int = SOCKETS) -> Iterator[Row]:
    """Yield the table's row, once every listener has heard of a job's end."""
    before, after = asyncio.run(_measure(folder, streams, sockets))
    name = f"{streams} event streams, {sockets} WebSockets"
    grown = f"{before / MEGABYTE:.0f} MB without them; "
    yield Row(name, "gateway", verdict=grown + verdict("memory", after / MEGABYTE, " MB", LIMIT_MB))


async def _measure(folder: Path, streams: int, sockets: int) -> tuple[int, int]:
    fake = FakeComfyUI()
    server = TestServer(fake.app(), host="127.0.0.1")
    await server.start_server()
    try:
        return await listener_load.measure((fake, f"http://127.0.0.1:{server.port}"), folder, streams, sockets)
    finally:
        for socket in list(fake.sockets.values()):
            await socket.close()
        await server.close()
