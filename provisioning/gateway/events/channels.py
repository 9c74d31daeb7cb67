"""What happened, per owner, numbered and kept for a while, so that whoever lost the connection misses nothing.

Every owner has a channel of its own: its numbers count its own events alone and tell nothing of anybody else's, and no
other owner's jobs push its events out. Readers hold a place in the channel and no copies, so a thousand of them, or one
that reads nothing, take no memory: a reader whose place is no longer kept is told so instead of being served a gap.
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
"""Kept per channel: several long jobs' worth, since a job has a few dozen events of some 300 bytes."""

EVENT_OVERHEAD_BYTES = 300
"""What an event takes beside its text."""

MAX_CHANNELS = 5000

_ID = re.compile(r"([0-9a-f]{12})-([0-9]{1,15})-([0-9]{1,15})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    name: str
    data: bytes
    """A JSON object."""
    job_id: str | None = None
    transient: bool = False
    """Only the newest is of use, and it is large: a preview. It is numbered, and not kept."""
    last: bool = False
    """Nothing of its job comes behind it."""

    @property
    def size(self) -> int:
        """Return the bytes it takes while it is kept."""
        return len(self.data) + EVENT_OVERHEAD_BYTES


class NumberedEvent(NamedTuple):
    """An event in its place."""

    number: int
    at_ms: int
    event: Event


class Wakeable(Protocol):
    """A reader of a channel."""

    def wake(self) -> None:
        """React to a new event."""


class Cursor(NamedTuple):
    """Where a reader goes on."""

    number: int
    """Of the last event it has."""
    resumed: bool = False
    """It said where it was, and all behind that is still kept; else it needs the state as it is."""
    lost: bool = False
    """It said where it was, and what it missed is no longer kept."""
    since_ms: int | None = None
    """When its last event was, by its id."""


class Channel:
    """The events that one owner may hear of, oldest first."""

    def __init__(self, clock: Clock, max_events: int) -> None:
        self._max_events = max_events
        self.readers: set[Wakeable] = set()
        self.number = 0
        """Of the newest event."""
        self.bytes = 0
        self._clock = clock
        # After a restart, or once a channel was let go, the ids of former ones are not taken for ours.
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
        """Let go of everything that is kept; returns by how many bytes the channel has shrunk."""
        freed, self.bytes = self.bytes, 0
        self._kept.clear()
        self._floor, self._preview = self.number, None
        return freed

    def forget_preview(self, job_id: str) -> None:
        """Let go of a preview of a job that has ended."""
        if self._preview is not None and self._preview.event.job_id == job_id:
            self._preview = None

    def after(self, number: int) -> list[NumberedEvent] | None:
        """Return what came behind a number; None when some of it is no longer kept."""
        if number < self._floor:
            return None
        # From the newest backwards: nearly always a reader lacks one or two.
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
        """Return the id that an event has for its reader."""
        return f"{self._tag}-{number}-{at_ms}"

    def cursor_after(self, last_id: str | None) -> Cursor:
        """Return where a reader goes on that has had the event `last_id`; at the newest when it has had none."""
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
        """Return whether the last event of a job is known to be among those up to a number."""
        ends = (entry.number for entry in self._kept if entry.event.last and entry.event.job_id == job_id)
        return any(end <= number for end in ends)


class Channels:
    """Every owner's channel, and the admins', in which everything is."""

    def __init__(self, clock: Clock, max_bytes: int, max_events: int = MAX_EVENTS) -> None:
        """Keep at most `max_bytes` in all channels together, and `max_events` in each."""
        self._clock = clock
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._channels: OrderedDict[str | None, Channel] = OrderedDict()

    def of(self, owner: str | None) -> Channel:
        """Return an owner's channel; the admins' for None."""
        channel = self._channels.get(owner)
        if channel is None:
            self._make_room()
            channel = self._channels[owner] = Channel(self._clock, self._max_events)
        return channel

    def publish(self, owner: str, event: Event) -> None:
        """Tell an owner, and the admins."""
        self._add(owner, event)
        self._add(None, event)

    def publish_to(self, owner: str | None, event: Event) -> None:
        """Tell an owner alone, or the admins alone."""
        self._add(owner, event)

    def publish_to_owners(self, event: Event) -> None:
        """Tell every owner that has a channel; whoever comes later is told the state."""
        for owner in [owner for owner in self._channels if owner is not None]:
            self._add(owner, event)

    def owners_with_readers(self) -> list[str | None]:
        """Return the owners who have a reader now; None stands for the admins."""
        return [owner for owner, channel in self._channels.items() if channel.readers]

    def ended(self, owner: str, job_id: str) -> None:
        """Let go of the preview of a job that has ended."""
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
        """Empty the channels in which nothing happened for longest; their readers have read it long since."""
        for channel in self._channels.values():
            if self._bytes <= self._max_bytes:
                return
            self._bytes -= channel.forget()

    def _make_room(self) -> None:
        if len(self._channels) < MAX_CHANNELS:
            return
        silent = next((owner for owner, channel in self._channels.items() if not channel.readers), None)
        if silent is not None:
            self._bytes -= self._channels.pop(silent).forget()
