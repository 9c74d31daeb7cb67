"""An answer of server-sent events, from its first byte to its last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

import orjson

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.exchange import Exchange
from provisioning.gateway.core.http.operation import Parameter
from provisioning.gateway.events import sse
from provisioning.gateway.events.channels import Channel, Channels, Cursor, Entry
from provisioning.gateway.events.streams import Streams
from provisioning.gateway.events.subscription import EndedError, Subscription
from provisioning.gateway.jobs.lifecycle import Lifecycle

EVENT_ID = "b76e91ae1fde-17-1767225600000"

LAST_EVENT_ID = Parameter(
    "Last-Event-ID",
    "The `id` of the last event that the client received; later events are sent first.",
    EVENT_ID,
    "header",
)

GONE = "gone"
"""The client has disconnected, so no reason is sent."""

RESET = "reset"
"""The event that says that what the client missed is no longer kept; the state as it is follows."""

END = "end"
"""The event that says why a stream ends before what it tells of does."""


@dataclass(frozen=True)
class Stream:
    """One that is open."""

    exchange: Exchange
    channel: Channel
    place: Cursor
    reader: Subscription
    patience_seconds: float

    def id_of(self, entry: Entry) -> str:
        """Return the id under which the client can go on behind an event."""
        return self.channel.id_of(entry.number, entry.at_ms)

    def state_id(self, now_ms: int) -> str:
        """Return the id under which the client can go on behind the state that it is told first."""
        return self.channel.id_of(self.place.number, now_ms)

    async def start(self) -> None:
        """Begin the answer."""
        await self.exchange.start(200, sse.HEADERS)
        await self.write(sse.retry(self.exchange.request_id))

    async def write(self, text: bytes) -> None:
        """Send the text, if there is any."""
        if text:
            await self.exchange.write(text, more=True)

    async def entries(self) -> AsyncIterator[list[Entry]]:
        """Yield what happens as it happens, until the end; a client that hears nothing is told that we live."""
        while True:
            found = await self.reader.read(self.patience_seconds)
            if not found:
                await self.write(sse.KEEP_ALIVE)
            yield found


@dataclass(frozen=True)
class EventStreams:
    """Opens streams of server-sent events."""

    channels: Channels
    streams: Streams
    lifecycle: Lifecycle
    recheck: Callable[[Actor], Awaitable[None]]
    """Raises Problem once a caller has lost access."""
    keep_alive_seconds: float

    @contextlib.asynccontextmanager
    async def open(self, exchange: Exchange, owner: str | None) -> AsyncIterator[Stream]:
        """Hold a stream of an owner's events, and tell the client what ends it early. Raises Problem."""
        self.lifecycle.check_accepting()
        channel = self.channels.of(owner)
        place = channel.place(last_id(exchange))
        reader = Subscription(channel, place.number)
        stream = Stream(exchange, channel, place, reader, self.keep_alive_seconds)
        check = partial(self.recheck, exchange.who)
        with reader, self.streams.place(exchange.who, check, reader.end), _watched(exchange, reader):
            try:
                yield stream
            except EndedError as ended:
                await _end(stream, ended.reason)
            except TimeoutError:
                # Its connection is stuck: the kernel drops it, see serve.USER_TIMEOUT_MS.
                await _end(stream, GONE)


def last_id(exchange: Exchange) -> str | None:
    """Return the id of the last event that the client had; those that cannot set a header put it into the query."""
    return exchange.header("last-event-id") or exchange.query.get("last_event_id")


@contextlib.contextmanager
def _watched(exchange: Exchange, reader: Subscription) -> Iterator[None]:
    watching = asyncio.create_task(exchange.until_gone())
    watching.add_done_callback(lambda _: reader.end(GONE))
    try:
        yield
    finally:
        watching.cancel()


async def _end(stream: Stream, reason: str) -> None:
    if reason != GONE:
        # Without an id: the client goes on behind the last event that it had.
        with contextlib.suppress(TimeoutError):
            await stream.exchange.write(sse.frame(END, orjson.dumps({"reason": reason})), more=False)
