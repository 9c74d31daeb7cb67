"""The clients' WebSockets and the event stream that feeds them, as in ComfyUI."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

_LOG = logging.getLogger(__name__)

Payload = dict[str, Any] | bytes


class Sockets:
    """Every open socket by its client id; the last to come with an id has it."""

    def __init__(self, status: Callable[[], dict[str, Any]], features: Callable[[], dict[str, Any]]) -> None:
        self._status = status
        self._features = features
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._flags: dict[str, dict[str, Any]] = {}
        self._events: asyncio.Queue[tuple[str, Payload, str | None]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self.executing: Callable[[], tuple[str | None, str | None]] = lambda: (None, None)
        """Client id and node of the job that runs; a client that comes back is told its node."""

    def send_soon(self, event: str, data: Payload, client_id: str | None) -> None:
        """Send an event from any thread; to every socket where `client_id` is None."""
        self._loop.call_soon_threadsafe(self._events.put_nowait, (event, data, client_id))

    def shows_metadata(self, client_id: str | None) -> bool:
        """Return whether this client asked for previews that say whose they are."""
        flags = self._flags.get(client_id or "", {})
        return flags.get("supports_preview_metadata") is True

    async def publish(self) -> None:
        """Send events in the order they came, until cancelled."""
        while True:
            await self._send(*await self._events.get())

    async def close(self) -> None:
        """Close every socket; clients see that the server is going."""
        for socket in list(self._sockets.values()):
            await socket.close(code=1001)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one socket until it closes."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.query.get("clientId", "") or uuid.uuid4().hex
        self._sockets[client_id] = socket
        self._flags[client_id] = {}
        try:
            await self._greet(client_id)
            await self._listen(socket, client_id)
        finally:
            # As in ComfyUI: this removes the id and not the socket, so when a client came back under its id
            # before its old socket ended, the new one goes silent. Gateways must live with that.
            self._sockets.pop(client_id, None)
            self._flags.pop(client_id, None)
        return socket

    async def _greet(self, client_id: str) -> None:
        await self._send("status", {"status": self._status(), "sid": client_id}, client_id)
        running_client, node = self.executing()
        if running_client == client_id and node is not None:
            await self._send("executing", {"node": node}, client_id)

    async def _listen(self, socket: web.WebSocketResponse, client_id: str) -> None:
        first = True
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                continue
            try:
                said = json.loads(message.data)
                if first and said.get("type") == "feature_flags":
                    self._flags[client_id] = said.get("data", {})
                    await self._send("feature_flags", self._features(), client_id)
            except (ValueError, AttributeError):
                _LOG.warning("Invalid message received from client %s", client_id)
                continue
            first = False

    async def _send(self, event: str, data: Payload, client_id: str | None) -> None:
        if client_id is None:
            targets = list(self._sockets.values())
        else:
            targets = [self._sockets[client_id]] if client_id in self._sockets else []
        for socket in targets:
            try:
                if isinstance(data, bytes):
                    await socket.send_bytes(data)
                else:
                    await socket.send_json({"type": event, "data": data})
            except (ConnectionError, RuntimeError) as error:
                _LOG.warning("send error: %s", error)
