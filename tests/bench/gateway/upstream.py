"""The cheapest server that can stand where ComfyUI does: canned answers on bare HTTP/1.1, so that it hides nothing."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import cast

import uvloop

SMALL = b'{"checkpoints":[],"loras":[]}' + b" " * 171
"""200 bytes of JSON."""
IMAGE = bytes(1024 * 1024)

JOB = "6f9619ff-8b86-4d01-b42d-00c04fc964ff"
"""The id of a job that has ended, and of every workflow that comes without one."""
_STATUS = {"status_str": "success", "completed": True, "messages": []}
_HISTORY = {JOB: {"prompt": [1, JOB, {}, {}, []], "outputs": {}, "status": _STATUS}}
_GIVEN_ID = re.compile(rb'"prompt_id": ?"([^"]+)"')


def answer(body: bytes, kind: str) -> bytes:
    """Return a whole HTTP answer."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _json(body: object) -> bytes:
    return answer(json.dumps(body).encode(), "application/json")


ANSWERS = {
    b"GET /view": answer(IMAGE, "image/png"),
    b"GET /models": answer(SMALL, "application/json"),
    b"GET /settings": answer(SMALL, "application/json"),
    b"GET /queue": _json({"queue_running": [], "queue_pending": []}),
    b"GET /history/" + JOB.encode(): _json(_HISTORY),
    b"POST /upload/image": _json({"name": "a.png", "subfolder": "", "type": "input"}),
}
EMPTY = _json({})


LAST_CHUNK = b"\r\n0\r\n\r\n"
"""The end of an upload in chunks."""


class Canned(asyncio.Protocol):
    """Answers every request; a WebSocket is turned away."""

    def __init__(self) -> None:
        self._came = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class that asyncio knows.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._came += data
        while self._answered():
            pass

    def _answered(self) -> bool:
        head, end, rest = self._came.partition(b"\r\n\r\n")
        length = _length(head, rest)
        if not end or length is None or len(rest) < length or self._transport is None:
            return False
        self._came = rest[length:]
        path = head.split(b" HTTP/", 1)[0].split(b"?", 1)[0]
        submitted = path == b"POST /prompt"
        self._transport.write(_taken(rest[:length]) if submitted else ANSWERS.get(path, EMPTY))
        if b"\r\nConnection: close" in head:
            self._transport.close()
        return True


def _taken(body: bytes) -> bytes:
    given = _GIVEN_ID.search(body)
    return _json({"prompt_id": given[1].decode() if given else JOB, "number": 1, "node_errors": {}})


def _length(head: bytes, rest: bytes) -> int | None:
    """Return the bytes of a request's body on the wire; None for chunks whose last has not come."""
    lines = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lines:
        last = rest.find(LAST_CHUNK)
        return None if last < 0 else last + len(LAST_CHUNK)
    found = lines.partition(b"\r\ncontent-length:")[2]
    return int(found.split(b"\r\n", 1)[0]) if found else 0


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port, reuse_port=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
