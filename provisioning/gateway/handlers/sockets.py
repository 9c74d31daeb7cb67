"""ComfyUI's WebSocket, played by the gateway: no client's socket ever reaches ComfyUI."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable

from provisioning.gateway.access.actor import Actor
from provisioning.gateway.events import messages
from provisioning.gateway.events.hub import Listener
from provisioning.gateway.handlers.prompts import CLIENT_ID
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange, Receive, Send

GOING_AWAY = 1001
TOO_SLOW = 1013
POLICY = 1008
RECHECK_SECONDS = 1.0
"""How often an open socket's key is looked at again, so that revoking it closes what it opened."""


Check = Callable[[], Awaitable[object]]
"""Raises Problem once the caller may no longer be here."""


async def plain(_services: Services, _exchange: Exchange) -> None:
    """Refuse a request at the WebSocket's address that does not ask for one; raises Problem."""
    raise Problem(Code.UPGRADE_REQUIRED)


class Socket:
    """One client's WebSocket, from its acceptance to its end."""

    def __init__(self, services: Services, receive: Receive, send: Send) -> None:
        self._services = services
        self._receive = receive
        self._send = send

    async def serve(self, actor: Actor, check: Check, client_id: str) -> None:
        """Pass messages on until either side ends or `check` raises; raises Problem before the socket is accepted."""
        label = client_id if CLIENT_ID.fullmatch(client_id) else uuid.uuid4().hex
        listener = Listener(actor, label)
        self._services.hub.join(listener)
        try:
            await self._send({"type": "websocket.accept"})
            listener.put(messages.status_event(self._services.feed.queue_length(listener), label))
            await self._run(listener, check)
        finally:
            self._services.hub.leave(listener)

    async def _run(self, listener: Listener, check: Check) -> None:
        ends = {
            asyncio.create_task(self._read(listener)): None,
            asyncio.create_task(self._write(listener)): GOING_AWAY,
            asyncio.create_task(listener.cut.wait()): TOO_SLOW,
            asyncio.create_task(_until_refused(check)): POLICY,
        }
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        codes = [ends[task] for task in done]
        if None not in codes:
            await self._close(codes[0])

    async def _close(self, code: int | None) -> None:
        # A peer that reads nothing must not hold us up with its close.
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(1):
                await self._send({"type": "websocket.close", "code": code})

    async def _write(self, listener: Listener) -> None:
        while (message := await listener.queue.get()) is not None:
            name = "bytes" if isinstance(message, bytes) else "text"
            await self._send({"type": "websocket.send", name: message})

    async def _read(self, listener: Listener) -> None:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            name, data = messages.read_event(message.get("text") or "")
            if name == "feature_flags":
                listener.previews_with_metadata = data.get("supports_preview_metadata") is True


async def _until_refused(check: Check) -> None:
    with contextlib.suppress(Problem):
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            await check()
