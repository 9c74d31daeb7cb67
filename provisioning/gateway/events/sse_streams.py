"""Responses of server-sent events."""

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
"""The event that reports that missed events are no longer kept; the current state follows."""

END = "end"
"""The event that gives the reason why a stream ends early."""


@dataclass(frozen=True)
class SseStream:
    """An open stream of server-sent events."""

    request: GatewayRequest
    channel: Channel
    cursor: Cursor
    reader: Subscription
    keep_alive_seconds: float

    def id_of(self, entry: NumberedEvent) -> str:
        """Return the id from which a client can resume after an event."""
        return self.channel.id_of(entry.number, entry.at_ms)

    def state_id(self, now_ms: int) -> str:
        """Return the id from which a client can resume after the initial state."""
        return self.channel.id_of(self.cursor.number, now_ms)

    async def entries(self) -> AsyncIterator[list[NumberedEvent]]:
        """Yield new events as they happen, and an empty list when there were none for a while; raises EndedError."""
        while True:
            yield await self.reader.read(self.keep_alive_seconds)

    def answer(self, frames: AsyncIterator[bytes]) -> StreamingResponse:
        """Return a response with these frames, which ends when the client disconnects."""
        return StreamingResponse(self._until_ended(frames), headers=sse.HEADERS)

    async def _until_ended(self, frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the frames, and the reason when the stream ends early."""
        yield sse.retry(self.request.request_id)
        try:
            async for frame in frames:
                if frame:
                    yield frame
        except EndedError as ended:
            # Without an id, so that the client resumes after its last event.
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
        """Open a stream of an owner's events, which stays registered until the response ends. Raises Problem."""
        self.lifecycle.check_accepting()
        channel = self.channels.of(owner)
        cursor = channel.cursor_after(last_id(request))
        reader = request.held.enter_context(Subscription(channel, cursor.number))
        check = partial(self.recheck, request.who)
        request.held.enter_context(self.open_streams.registered(request.who, check, reader.end))
        return SseStream(request, channel, cursor, reader, self.keep_alive_seconds)


def last_id(connection: Connection) -> str | None:
    """Return the id of the client's last event, from the header or, for clients that cannot set it, the query."""
    return connection.header("last-event-id") or connection.query.get("last_event_id")
