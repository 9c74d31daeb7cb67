"""A WebSocket of a client. The gateway serves it: none is forwarded to ComfyUI."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from starlette.websockets import WebSocketDisconnect

from provisioning.gateway.core.http.request import GatewaySocket
from provisioning.gateway.core.rate_limiter import Limiter, Policy
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.events.subscription import DRAINING, TOO_SLOW

GOING_AWAY = 1001
POLICY = 1008
TRY_AGAIN = 1013

CLOSE_CODES = {DRAINING: GOING_AWAY, TOO_SLOW: TRY_AGAIN}
"""Close codes by reason; any other reason is that the client has lost access and gives POLICY."""

TOO_MANY_MESSAGES = "too_many_messages"

OnText = Callable[[str], None]
"""Handles a text message of the client."""


class Socket:
    """A client's WebSocket."""

    def __init__(self, limiter: Limiter, settings: GatewaySettings, websocket: GatewaySocket) -> None:
        self._limiter = limiter
        self._idle_seconds = settings.idle_seconds
        self._websocket = websocket
        self._key_id = websocket.who.key_id
        self._policy = Policy("socket", settings.socket_messages_per_minute, 60)

    async def accept(self) -> None:
        """Accept the connection."""
        await self._websocket.accept()

    async def send(self, message: str | bytes) -> None:
        """Send a message; raises TimeoutError when the client has stopped reading."""
        async with asyncio.timeout(self._idle_seconds):
            if isinstance(message, bytes):
                await self._websocket.send_bytes(message)
            else:
                await self._websocket.send_text(message)

    async def run(self, writing: Awaitable[str], on_text: OnText) -> None:
        """Read and write until the client disconnects or `writing` returns the reason to close."""
        reader = asyncio.ensure_future(self._read(on_text))
        writer = asyncio.ensure_future(_written(writing))
        await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        for task in (reader, writer):
            task.cancel()
        read, written = await asyncio.gather(reader, writer, return_exceptions=True)
        reason = read if isinstance(read, str) else written
        if isinstance(reason, str) and reason:
            await self._close(reason)

    async def _read(self, on_text: OnText) -> str:
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            if not self._limiter.take(self._policy, self._key_id).allowed:
                return TOO_MANY_MESSAGES
            on_text(message.get("text") or "")
        return ""

    async def _close(self, reason: str) -> None:
        # A client that does not read must not delay the close.
        with contextlib.suppress(OSError, RuntimeError, TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(1):
                code = CLOSE_CODES.get(reason, POLICY)
                await self._websocket.close(code, reason)


async def _written(writing: Awaitable[str]) -> str:
    try:
        return await writing
    except TimeoutError:
        return TOO_SLOW
