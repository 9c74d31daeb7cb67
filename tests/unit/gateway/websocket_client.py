"""A client of the gateway's ComfyUI WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect


@asynccontextmanager
async def open_websocket(port: int, token: str, label: str = "tab", **headers: str) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket and read its first status message."""
    given = {"Authorization": f"Bearer {token}"} | headers
    url = f"ws://127.0.0.1:{port}/ws?clientId={label}"
    async with connect(url, additional_headers=given, proxy=None, compression=None, max_size=None) as socket:
        greeting = json.loads(await socket.recv())
        assert (greeting["type"], greeting["data"]["sid"]) == ("status", label)
        yield socket


async def receive_until(socket: ClientConnection, until: str) -> list[Any]:
    """Return the messages up to and including an event; binary ones as they are."""
    messages: list[Any] = []
    async with asyncio.timeout(60):
        while True:
            message = await socket.recv()
            messages.append(message if isinstance(message, bytes) else json.loads(message))
            if isinstance(message, str) and messages[-1]["type"] == until:
                return messages


async def expect_nothing(socket: ClientConnection) -> None:
    """Check that no message but the socket's own status arrives for 0.1 s."""
    while True:
        try:
            async with asyncio.timeout(0.1):
                message = await socket.recv()
        except TimeoutError:
            return
        assert isinstance(message, str)
        assert json.loads(message)["type"] == "status", message
