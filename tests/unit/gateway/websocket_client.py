"""A client of the gateway's ComfyUI WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect


@asynccontextmanager
async def listening(port: int, token: str, label: str = "tab", **headers: str) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket and take its greeting."""
    given = {"Authorization": f"Bearer {token}"} | headers
    url = f"ws://127.0.0.1:{port}/ws?clientId={label}"
    async with connect(url, additional_headers=given, proxy=None, compression=None, max_size=None) as socket:
        greeting = json.loads(await socket.recv())
        assert (greeting["type"], greeting["data"]["sid"]) == ("status", label)
        yield socket


async def heard(socket: ClientConnection, until: str) -> list[Any]:
    """Return what arrives up to and including an event; binary messages as they are."""
    messages: list[Any] = []
    async with asyncio.timeout(60):
        while True:
            message = await socket.recv()
            messages.append(message if isinstance(message, bytes) else json.loads(message))
            if isinstance(message, str) and messages[-1]["type"] == until:
                return messages


async def silence(socket: ClientConnection) -> None:
    """Check that nothing but the listener's own status arrives."""
    while True:
        try:
            async with asyncio.timeout(0.1):
                message = await socket.recv()
        except TimeoutError:
            return
        assert isinstance(message, str)
        assert json.loads(message)["type"] == "status", message
