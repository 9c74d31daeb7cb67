"""Numbered events per owner, kept for a while, so that a client that reconnects can receive those it missed.

Every owner has a channel of its own: its numbers count its own events and reveal nothing about others, and other
owners' events do not displace its own. Readers hold a cursor and no copies, so many or slow readers need no memory: a
reader whose cursor has been dropped gets an error instead of a gap.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from provisioning.gateway.core.clock import Clock

MAX_EVENTS = 1000
MAX_BYTES = 512 * 1024
"""Limits of a channel: enough for several long jobs, since a job has a few dozen events of about 300 bytes."""

EVENT_OVERHEAD_BYTES = 300
"""Memory that an event needs in addition to its text."""

MAX_CHANNELS = 5000

_ID = re.compile(r"([0-9a-f]{12})-([0-9]{1,15})-([0-9]{1,15})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """An event."""

    name: str
    data: bytes
    """A JSON object."""
    job_id: str | None = None
    transient: bool = False
    """Whether only the newest event matters, as with previews, which are large: it is numbered and not kept."""
    last: bool = False
    """Whether it is the last event of its job."""

    @property
    def size(self) -> int:
        """Return its size in memory in bytes."""
        return len(self.data) + EVENT_OVERHEAD_BYTES


class NumberedEvent(NamedTuple):
    """An event with its number in a channel and its time in milliseconds since the epoch."""

    number: int
    at_ms: int
    event: Event


class Wakeable(Protocol):
    """A reader of a channel."""

    def wake(self) -> None:
        """Read the channel again, since it has a new event."""


class Cursor(NamedTuple):
    """A reader's position in a channel."""

    number: int
    """The number of the last event that the reader has."""
    resumed: bool = False
    """Whether all events after the reader's last id are still kept; otherwise the reader needs the current state."""
    lost: bool = False
    """Whether the reader gave an id and events after it are no longer kept."""
    since_ms: int | None = None
    """The time of the reader's last event, from its id, in milliseconds since the epoch."""


class Channel:
    """The events of one owner, oldest first."""

    def __init__(self, clock: Clock, max_events: int) -> None:
        self._max_events = max_events
        self.readers: set[Wakeable] = set()
        self.number = 0
        """The number of the newest event."""
        self.bytes = 0
        self._clock = clock
        # Makes ids of earlier channels invalid, after a restart or after this owner's channel was dropped.
        self._tag = secrets.token_hex(6)
        self._kept: deque[NumberedEvent] = deque()
        self._floor = 0
        self._preview: NumberedEvent | None = None

    def add(self, event: Event) -> int:
        """Number an event, keep it and wake the readers; returns by how many bytes the channel has grown."""
        before = self.bytes
        self.number += 1
        entry = NumberedEvent(self.number, self._clock.now_ms(), event)
        if event.transient:
            self._preview = entry
        else:
            self._kept.append(entry)
            self.bytes += event.size
            while self.bytes > MAX_BYTES or len(self._kept) > self._max_events:
                self._drop_oldest()
        for reader in self.readers:
            reader.wake()
        return self.bytes - before

    def _drop_oldest(self) -> None:
        oldest = self._kept.popleft()
        self._floor = oldest.number
        self.bytes -= oldest.event.size

    def forget(self) -> int:
        """Drop all kept events; returns by how many bytes the channel has shrunk."""
        freed, self.bytes = self.bytes, 0
        self._kept.clear()
        self._floor, self._preview = self.number, None
        return freed

    def forget_preview(self, job_id: str) -> None:
        """Drop the preview of a job that has ended."""
        if self._preview is not None and self._preview.event.job_id == job_id:
            self._preview = None

    def after(self, number: int) -> list[NumberedEvent] | None:
        """Return the events after a number; None when some of them are no longer kept."""
        if number < self._floor:
            return None
        # From the newest backwards, since a reader usually lacks one or two events.
        found: list[NumberedEvent] = []
        for entry in reversed(self._kept):
            if entry.number <= number:
                break
            found.append(entry)
        found.reverse()
        if self._preview is not None and self._preview.number > number:
            found.append(self._preview)
            found.sort(key=lambda entry: entry.number)
        return found

    def id_of(self, number: int, at_ms: int) -> str:
        """Return the id of an event in this channel."""
        return f"{self._tag}-{number}-{at_ms}"

    def cursor_after(self, last_id: str | None) -> Cursor:
        """Return the cursor of a reader whose last event is `last_id`; that of the newest event for None."""
        if last_id is None:
            return Cursor(self.number)
        match = _ID.fullmatch(last_id)
        if match is None:
            return Cursor(self.number, lost=True)
        number, at_ms = int(match[2]), int(match[3])
        if match[1] == self._tag and self._floor <= number <= self.number:
            return Cursor(number, resumed=True, since_ms=at_ms)
        return Cursor(self.number, lost=True, since_ms=at_ms)

    def has_sent_end(self, job_id: str, number: int) -> bool:
        """Return whether the last event of a job is kept and has at most this number."""
        ends = (entry.number for entry in self._kept if entry.event.last and entry.event.job_id == job_id)
        return any(end <= number for end in ends)


class Channels:
    """The channels of all owners, and the admins' channel, which has all events."""

    def __init__(self, clock: Clock, max_bytes: int, max_events: int = MAX_EVENTS) -> None:
        """Keep at most `max_bytes` in all channels together, and `max_events` in each."""
        self._clock = clock
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._channels: OrderedDict[str | None, Channel] = OrderedDict()

    def of(self, owner: str | None) -> Channel:
        """Return an owner's channel, or the admins' for None."""
        channel = self._channels.get(owner)
        if channel is None:
            self._drop_unread()
            channel = self._channels[owner] = Channel(self._clock, self._max_events)
        return channel

    def publish(self, owner: str, event: Event) -> None:
        """Publish an event to an owner and to the admins."""
        self._add(owner, event)
        self._add(None, event)

    def publish_to(self, owner: str | None, event: Event) -> None:
        """Publish an event to an owner only, or with None to the admins only."""
        self._add(owner, event)

    def publish_to_owners(self, event: Event) -> None:
        """Publish an event to every owner that has a channel; later readers begin with the state."""
        for owner in [owner for owner in self._channels if owner is not None]:
            self._add(owner, event)

    def owners_with_readers(self) -> list[str | None]:
        """Return the owners whose channels have a reader now; None stands for the admins."""
        return [owner for owner, channel in self._channels.items() if channel.readers]

    def ended(self, owner: str, job_id: str) -> None:
        """Drop the preview of a job that has ended."""
        for channel in (self._channels.get(owner), self._channels.get(None)):
            if channel is not None:
                channel.forget_preview(job_id)

    def _add(self, owner: str | None, event: Event) -> None:
        channel = self.of(owner)
        self._channels.move_to_end(owner)
        self._bytes += channel.add(event)
        if self._bytes > self._max_bytes:
            self._shrink()

    def _shrink(self) -> None:
        """Empty the channels with the oldest activity first; their readers have already read those events."""
        for channel in self._channels.values():
            if self._bytes <= self._max_bytes:
                return
            self._bytes -= channel.forget()

    def _drop_unread(self) -> None:
        """Drop the longest unused channel without readers when there are too many channels."""
        if len(self._channels) < MAX_CHANNELS:
            return
        unread = next((owner for owner, channel in self._channels.items() if not channel.readers), None)
        if unread is not None:
            self._bytes -= self._channels.pop(unread).forget()
