"""The cheapest server that can stand where ComfyUI does: canned answers on bare HTTP/1.1, so that it hides nothing."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

SMALL = b'{"checkpoints":[],"loras":[]}' + b" " * 171
"""200 bytes of JSON."""
IMAGE = bytes(1024 * 1024)


def answer(body: bytes, kind: str) -> bytes:
    """Return a whole HTTP answer."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


ANSWERS = {b"GET /view": answer(IMAGE, "image/png"), b"GET /models": answer(SMALL, "application/json")}
EMPTY = answer(b"{}", "application/json")


class Canned(asyncio.Protocol):
    """Answers every request without a body; a WebSocket is turned away."""

    def __init__(self) -> None:
        self._rest = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class that asyncio knows.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" HTTP/", 1)[0].split(b"?", 1)[0]
            self._transport.write(ANSWERS.get(path, EMPTY))


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
