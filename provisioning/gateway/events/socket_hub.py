"""The clients' WebSockets, and the choice of those that receive a message."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.events.subscription import DRAINING, TOO_SLOW
from provisioning.gateway.jobs.job import Job

MAX_MESSAGES = 512
MAX_BYTES = 64 * 1024 * 1024
"""Limits of a reader's queue; a slower one is disconnected, to bound memory. A single message may be larger."""

PREVIEW_BYTES = 1024 * 1024
"""A reader with more bytes queued gets no previews until it has caught up, since a newer one replaces them."""

Message = str | bytes


@dataclass(eq=False)
class Listener:
    """One open WebSocket of a client that speaks ComfyUI's protocol."""

    actor: Actor
    client_id: str
    previews_with_metadata: bool = False
    reason: str | None = None
    """The reason for closing the connection; None while it stays open."""
    _waiting: deque[Message] = field(default_factory=deque)
    _bytes: int = 0
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def receives(self, job: Job) -> bool:
        """Return whether this socket receives events of the job.

        Events of a job with a client id go only to its owner's sockets with that id, even when none is open: programs
        treat every message as one about their own jobs. Admins receive the events of other users' jobs in any case.
        """
        if self.actor.owner != job.owner:
            return self.actor.sees_all
        return self.client_id == (job.client_id or self.client_id)

    def put(self, message: Message, *, preview: bool = False) -> None:
        """Queue a message without waiting; only previews may be skipped."""
        if self.reason is not None or (preview and self._bytes > PREVIEW_BYTES):
            return
        full = len(self._waiting) >= MAX_MESSAGES or self._bytes + len(message) > MAX_BYTES
        if self._waiting and full:
            self.end(TOO_SLOW)
            return
        self._waiting.append(message)
        self._bytes += len(message)
        self._woken.set()

    def end(self, reason: str) -> None:
        """Close the connection: for DRAINING after the queued messages, for any other reason at once."""
        self.reason = self.reason or reason
        if reason != DRAINING:
            self._waiting.clear()
        self._woken.set()

    async def next(self) -> Message | None:
        """Wait for the next message and return it; None when the connection is to be closed."""
        while not self._waiting:
            if self.reason is not None:
                return None
            self._woken.clear()
            await self._woken.wait()
        message = self._waiting.popleft()
        self._bytes -= len(message)
        return message


class Hub:
    """The open listeners."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def __iter__(self) -> Iterator[Listener]:
        return iter(tuple(self._listeners))

    @contextlib.contextmanager
    def joined(self, listener: Listener) -> Iterator[None]:
        """Register a listener."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    def listeners_of(self, job: Job) -> list[Listener]:
        """Return the listeners that receive events of a job."""
        return [listener for listener in self._listeners if listener.receives(job)]
