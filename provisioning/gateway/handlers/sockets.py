"""WebSockets to clients: ComfyUI's, played by the gateway, and the gateway's own. None of them reaches ComfyUI."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable

from provisioning.gateway.access.limiter import Policy
from provisioning.gateway.events import messages
from provisioning.gateway.events.hub import Listener
from provisioning.gateway.events.reader import DRAINING, TOO_SLOW
from provisioning.gateway.events.streams import Check
from provisioning.gateway.handlers.prompts import CLIENT_ID
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange, Receive, Send

GOING_AWAY = 1001
POLICY = 1008
TRY_AGAIN = 1013

CLOSE_CODES = {DRAINING: GOING_AWAY, TOO_SLOW: TRY_AGAIN}
"""Every other reason is that the client may not be here any longer."""

TOO_MANY_MESSAGES = "too_many_messages"

Hear = Callable[[str], None]
"""Takes a text message of the client."""


async def plain(_services: Services, _exchange: Exchange) -> None:
    """Refuse a request at the WebSocket's address that does not ask for one; raises Problem."""
    raise Problem(Code.UPGRADE_REQUIRED)


class Socket:
    """One client's WebSocket, from its acceptance to its end."""

    def __init__(self, services: Services, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._services = services
        self._receive = receive
        self._send = send
        self._key_id = exchange.who.key_id
        self._policy = Policy("socket", services.settings.socket_messages_per_minute, 60)

    async def accept(self) -> None:
        """Take the client in."""
        await self._send({"type": "websocket.accept"})

    async def send(self, message: str | bytes) -> None:
        """Send a message; raises TimeoutError when the client has stopped reading."""
        name = "bytes" if isinstance(message, bytes) else "text"
        async with asyncio.timeout(self._services.settings.idle_seconds):
            await self._send({"type": "websocket.send", name: message})

    async def run(self, writing: Awaitable[str], hear: Hear) -> None:
        """Read and write until the client is gone or `writing` returns why there is no more."""
        reader = asyncio.ensure_future(self._read(hear))
        writer = asyncio.ensure_future(_written(writing))
        await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        for task in (reader, writer):
            task.cancel()
        read, written = await asyncio.gather(reader, writer, return_exceptions=True)
        reason = read if isinstance(read, str) else written
        if isinstance(reason, str) and reason:
            await self._close(reason)

    async def _read(self, hear: Hear) -> str:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            if not self._services.limiter.take(self._policy, self._key_id).allowed:
                return TOO_MANY_MESSAGES
            hear(message.get("text") or "")
        return ""

    async def _close(self, reason: str) -> None:
        # A peer that reads nothing must not hold us up with its close.
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(1):
                code = CLOSE_CODES.get(reason, POLICY)
                await self._send({"type": "websocket.close", "code": code, "reason": reason})


async def _written(writing: Awaitable[str]) -> str:
    try:
        return await writing
    except TimeoutError:
        return TOO_SLOW


async def native(services: Services, exchange: Exchange, socket: Socket, check: Check) -> None:
    """Play ComfyUI's `/ws`; raises Problem before the socket is accepted."""
    label = exchange.query.get("clientId", "")
    listener = Listener(exchange.who, label if CLIENT_ID.fullmatch(label) else uuid.uuid4().hex)

    def hear(text: str) -> None:
        name, data = messages.read_event(text)
        if name == "feature_flags":
            listener.previews_with_metadata = data.get("supports_preview_metadata") is True

    async def write() -> str:
        while (message := await listener.next()) is not None:
            await socket.send(message)
        return listener.reason or DRAINING

    with services.streams.place(exchange.who, check, listener.end), services.hub.joined(listener):
        await socket.accept()
        listener.put(messages.status_event(services.feed.queue_length(listener), listener.client_id))
        await socket.run(write(), hear)
