"""The clients' WebSockets, and which of them may hear what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from provisioning.gateway.access.actor import Actor
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.problems import Code, Problem

BACKLOG = 512
"""Messages a slow reader may be behind; then it is cut off, since memory is everybody's."""

Message = str | bytes


@dataclass(eq=False)
class Listener:
    """One open WebSocket of a client."""

    actor: Actor
    client_id: str
    previews_with_metadata: bool = False
    job_id: str | None = None
    """The only job it wants to hear of; None means all it may."""
    queue: asyncio.Queue[Message | None] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    """None ends the connection."""
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the reader fell too far behind."""

    def hears(self, job: Job, *, addressed: bool) -> bool:
        """Return whether events of this job are for this socket.

        `addressed`: another of the owner's sockets bears the name that the job was submitted with.
        """
        if self.job_id is not None:
            return self.job_id == job.id
        if self.actor.sees_all:
            return True
        return self.actor.owner == job.owner and (not addressed or self.client_id == job.client_id)

    def put(self, message: Message) -> None:
        """Hand a message over without waiting."""
        if self.cut.is_set():
            return
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.cut.set()

    def end(self) -> None:
        """Have the connection closed after what is waiting."""
        if self.queue.full():
            self.cut.set()
            return
        self.queue.put_nowait(None)


class Hub:
    """All listeners."""

    def __init__(self, max_per_owner: int) -> None:
        self._max_per_owner = max_per_owner
        self._listeners: set[Listener] = set()

    def __iter__(self) -> Iterator[Listener]:
        return iter(tuple(self._listeners))

    def join(self, listener: Listener) -> None:
        """Add a listener; raises Problem when its owner has too many."""
        owner = listener.actor.owner
        if sum(other.actor.owner == owner for other in self._listeners) >= self._max_per_owner:
            raise Problem(Code.TOO_MANY_STREAMS)
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """Remove a listener."""
        self._listeners.discard(listener)

    def audience(self, job: Job) -> list[Listener]:
        """Return the listeners that may hear of a job."""
        mine = [listener for listener in self._listeners if listener.actor.owner == job.owner]
        addressed = bool(job.client_id) and any(listener.client_id == job.client_id for listener in mine)
        return [listener for listener in self._listeners if listener.hears(job, addressed=addressed)]

    def close(self) -> None:
        """Have every connection closed."""
        for listener in self._listeners:
            listener.end()
