"""A server that receives webhooks: it answers as a test wants, and keeps what it received."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Got:
    """One message as it arrived."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """State of the receiver; tests read and change it."""

    got: list[Got] = field(default_factory=list)
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    manner: str = "plain"
    """plain, silent (never answers), slow (answers byte by byte) or huge (answers without end)."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append(Got(dict(request.headers), await request.read()))
        if self.manner == "silent":
            await asyncio.sleep(3600)
        if self.manner == "plain":
            return web.Response(status=self.status, headers=self.headers)
        answer = web.StreamResponse(status=self.status, headers=self.headers)
        await answer.prepare(request)
        while True:
            await answer.write(b"x" if self.manner == "slow" else bytes(1 << 20))
            await asyncio.sleep(0.05 if self.manner == "slow" else 0)


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver on loopback."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    server = TestServer(app, host="127.0.0.1", port=port or None)
    # A silent one is not waited for: it would hold its end up until the gateway's own time is over.
    await server.start_server(ssl=tls, shutdown_timeout=0.1)
    receiver.port = int(server.port or 0)
    try:
        yield receiver
    finally:
        await server.close()
