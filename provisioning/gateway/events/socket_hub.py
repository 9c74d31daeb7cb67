"""The clients' WebSockets, and which of them may hear what."""

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
"""What a slow reader may be behind; then it is cut off, since memory is everybody's. A single message may be longer."""

PREVIEW_BYTES = 1024 * 1024
"""Behind by more, a reader gets no previews until it has caught up: the next one says more than this one."""

Message = str | bytes


@dataclass(eq=False)
class Listener:
    """One open WebSocket of a client that speaks ComfyUI's protocol."""

    actor: Actor
    client_id: str
    previews_with_metadata: bool = False
    reason: str | None = None
    """Why the connection ends; None while it does not."""
    _waiting: deque[Message] = field(default_factory=deque)
    _bytes: int = 0
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def receives(self, job: Job) -> bool:
        """Return whether events of this job are for this socket.

        A job that was submitted with a name is told to its owner's sockets of that name alone, also while none is open:
        programs take what they hear for their own. Who sees everybody's jobs hears of other people's all the same.
        """
        if self.actor.owner != job.owner:
            return self.actor.sees_all
        return self.client_id == (job.client_id or self.client_id)

    def put(self, message: Message, *, preview: bool = False) -> None:
        """Hand a message over without waiting; a preview may be left out, and nothing else is."""
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
        """Have the connection closed: for DRAINING behind what is waiting, for every other reason at once."""
        self.reason = self.reason or reason
        if reason != DRAINING:
            self._waiting.clear()
        self._woken.set()

    async def next(self) -> Message | None:
        """Return the next message when there is one; None at the end."""
        while not self._waiting:
            if self.reason is not None:
                return None
            self._woken.clear()
            await self._woken.wait()
        message = self._waiting.popleft()
        self._bytes -= len(message)
        return message


class Hub:
    """All listeners."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def __iter__(self) -> Iterator[Listener]:
        return iter(tuple(self._listeners))

    @contextlib.contextmanager
    def joined(self, listener: Listener) -> Iterator[None]:
        """Have a listener hear."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    def listeners_of(self, job: Job) -> list[Listener]:
        """Return the listeners that may hear of a job."""
        return [listener for listener in self._listeners if listener.receives(job)]
