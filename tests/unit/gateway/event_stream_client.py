"""A client of event streams over a real connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Frame:
    """One event, or a comment (whose name is a colon)."""

    name: str = "message"
    data: Any = None
    id: str | None = None


@dataclass
class EventStreamClient:
    """An open stream; keeps the id of the last event, as a browser's EventSource does."""

    answer: httpx.Response
    lines: AsyncIterator[str]
    last_id: str | None = None
    retry: int | None = None
    seen: list[Frame] = field(default_factory=list)

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield what arrives until the stream ends."""
        frame = Frame()
        async for line in self.lines:
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                yield Frame(":")
            elif name == "event":
                frame.name = value
            elif name == "data":
                frame.data = json.loads(value)
            elif name == "id":
                self.last_id = frame.id = value
            elif name == "retry":
                self.retry = int(value)
            elif not line and frame.data is not None:
                self.seen.append(frame)
                yield frame
                frame = Frame()

    async def until(self, name: str, **data: object) -> Frame:
        """Read up to an event of this name whose data has these members."""
        async with asyncio.timeout(60):
            async for frame in self.frames():
                if frame.name == name and all(frame.data.get(key) == value for key, value in data.items()):
                    return frame
        raise AssertionError(f"the stream ended without {name} {data}; it had {[frame.name for frame in self.seen]}")

    async def rest(self) -> list[Frame]:
        """Read to the end of the stream."""
        async with asyncio.timeout(60):
            return [frame async for frame in self.frames()]


@asynccontextmanager
async def open_event_stream(
    port: int, token: str, path: str = "/api/gateway/events", **headers: str
) -> AsyncIterator[EventStreamClient]:
    """Open a stream; an underscore in a header's name stands for a hyphen."""
    given = {"X-API-Key": token} | {name.replace("_", "-"): value for name, value in headers.items()}
    base = f"http://127.0.0.1:{port}"
    async with (
        httpx.AsyncClient(base_url=base, headers=given, trust_env=False, timeout=60) as client,
        client.stream("GET", path) as answer,
    ):
        yield EventStreamClient(answer, answer.aiter_lines())
