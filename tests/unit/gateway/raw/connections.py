"""Raw bytes over a socket, past any client library."""

from __future__ import annotations

import asyncio


async def talk(port: int, data: bytes) -> bytes:
    """Send bytes and return what comes back until the server hangs up or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    received = b""
    try:
        while chunk := await asyncio.wait_for(reader.read(65536), 10 if received else 60):
            received += chunk
    except (TimeoutError, ConnectionResetError):
        pass
    finally:
        writer.close()
    return received


def request(target: str, *headers: str, method: str = "GET", body: str = "") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *headers, "Connection: close", "", body]
    return "\r\n".join(lines).encode("latin-1")


async def read(reader: asyncio.StreamReader) -> bytes:
    """Return what comes next, nothing at the end and for a connection that was cut."""
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


PROBE = b"GET /livez HTTP/1.1\r\nHost: probe.test\r\nConnection: close\r\n\r\n"
