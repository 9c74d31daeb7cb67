"""Copying of bytes between two connections, both ways, until both have ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress

CHUNK = 64 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the source ends, then pass the end on; a broken connection ends it quietly."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def join(left: Streams, right: Streams) -> None:
    """Copy both ways until both directions have ended; the caller closes."""
    await asyncio.gather(pump(left[0], right[1]), pump(right[0], left[1]))


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection; one that is already broken is as good as closed."""
    writer.close()
    with suppress(ConnectionError, OSError):
        await writer.wait_closed()
