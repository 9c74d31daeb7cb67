"""Raw bytes over a socket, past any client library."""

from __future__ import annotations

import asyncio
import re


async def talk(port: int, data: bytes) -> bytes:
    """Send bytes and return what comes back until the server hangs up or sends nothing for some seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    received = b""
    try:
        while chunk := await asyncio.wait_for(reader.read(65536), _patience_seconds(received)):
            received += chunk
    except (TimeoutError, ConnectionResetError):
        pass
    finally:
        writer.close()
    return received


def _patience_seconds(received: bytes) -> float:
    """Return how long to wait for more: shorter after a whole response, which another one may follow."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    if not received:
        return 60
    return 3 if end and (length is None or len(body) >= int(length[1])) else 10


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
