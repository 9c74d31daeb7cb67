"""An answer of server-sent events, from its first byte to its last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import orjson
from starlette.responses import StreamingResponse

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.operation import Parameter
from provisioning.gateway.core.http.request import Connection, GatewayRequest
from provisioning.gateway.events import sse
from provisioning.gateway.events.channels import Channel, Channels, Cursor, NumberedEvent
from provisioning.gateway.events.open_streams import OpenStreams
from provisioning.gateway.events.subscription import EndedError, Subscription
from provisioning.gateway.jobs.lifecycle import Lifecycle

EVENT_ID = "b76e91ae1fde-17-1767225600000"

LAST_EVENT_ID = Parameter(
    "Last-Event-ID",
    "The `id` of the last event that the client received; later events are sent first.",
    EVENT_ID,
    "header",
)

RESET = "reset"
"""The event that says that what the client missed is no longer kept; the state as it is follows."""

END = "end"
"""The event that says why a stream ends before what it tells of does."""


@dataclass(frozen=True)
class SseStream:
    """One that is open."""

    request: GatewayRequest
    channel: Channel
    cursor: Cursor
    reader: Subscription
    keep_alive_seconds: float

    def id_of(self, entry: NumberedEvent) -> str:
        """Return the id under which the client can go on behind an event."""
        return self.channel.id_of(entry.number, entry.at_ms)

    def state_id(self, now_ms: int) -> str:
        """Return the id under which the client can go on behind the state that it is told first."""
        return self.channel.id_of(self.cursor.number, now_ms)

    async def entries(self) -> AsyncIterator[list[NumberedEvent]]:
        """Yield what happens as it happens, and nothing when there was nothing for a while; raises EndedError."""
        while True:
            yield await self.reader.read(self.keep_alive_seconds)

    def answer(self, frames: AsyncIterator[bytes]) -> StreamingResponse:
        """Return the answer of these frames, which ends early when the client hangs up."""
        return StreamingResponse(self._until_ended(frames), headers=sse.HEADERS)

    async def _until_ended(self, frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the frames, and at last what ends the stream early."""
        yield sse.retry(self.request.request_id)
        try:
            async for frame in frames:
                if frame:
                    yield frame
        except EndedError as ended:
            # Without an id: the client goes on behind the last event that it had.
            yield sse.frame(END, orjson.dumps({"reason": ended.reason}))


@dataclass(frozen=True)
class SseStreams:
    """Opens streams of server-sent events."""

    channels: Channels
    open_streams: OpenStreams
    lifecycle: Lifecycle
    recheck: Callable[[Actor], Awaitable[None]]
    """Raises Problem once a caller has lost access."""
    keep_alive_seconds: float

    def open(self, request: GatewayRequest, owner: str | None) -> SseStream:
        """Return a stream of an owner's events, which is held until the request is answered. Raises Problem."""
        self.lifecycle.check_accepting()
        channel = self.channels.of(owner)
        cursor = channel.cursor_after(last_id(request))
        reader = request.held.enter_context(Subscription(channel, cursor.number))
        check = partial(self.recheck, request.who)
        request.held.enter_context(self.open_streams.registered(request.who, check, reader.end))
        return SseStream(request, channel, cursor, reader, self.keep_alive_seconds)


def last_id(connection: Connection) -> str | None:
    """Return the id of the last event that the client had; those that cannot set a header put it into the query."""
    return connection.header("last-event-id") or connection.query.get("last_event_id")
