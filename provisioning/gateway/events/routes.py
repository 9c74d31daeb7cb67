"""The operations that stream the gateway's own events: the caller's jobs, the pod, the cost and the installer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from starlette.responses import Response

from provisioning.gateway.core.http.operation import EVENTS, Answer, Operation, Parameter, Tag
from provisioning.gateway.core.http.request import Connection, GatewayRequest, GatewaySocket
from provisioning.gateway.core.http.socket_route import SocketOperation
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.events import broadcast, job_events, sse
from provisioning.gateway.events.channels import Channel, Channels, NumberedEvent
from provisioning.gateway.events.open_streams import STREAMING, Check, OpenStreams
from provisioning.gateway.events.snapshots import OutboundEvent, Snapshots
from provisioning.gateway.events.sockets import Socket
from provisioning.gateway.events.sse_streams import END, EVENT_ID, LAST_EVENT_ID, SseStream, SseStreams, last_id
from provisioning.gateway.events.subscription import EndedError, Subscription

TYPES = frozenset({job_events.STATUS, job_events.PROGRESS, job_events.PREVIEW, job_events.OUTPUT, *broadcast.TYPES})

IN_QUERY = Parameter("last_event_id", "Like the header `Last-Event-ID`, for clients that cannot set headers.", EVENT_ID)
CHOSEN = Parameter("types", "Event types, separated by commas. Default: all except `job_preview`.", "job_status")
EXAMPLE = (
    'id: b76e91ae1fde-17-1767225600000\nevent: job_progress\ndata: {"job_id":"0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10",'
    '"percent":42.5,"value":0.425,"nodes_done":3,"nodes_total":7,"current_node":"3","current_node_class":"KSampler",'
    '"step":8,"steps":20,"message":"KSampler 8/20"}\n\n'
)


class EventRoutes:
    """Sends callers the events of their jobs and of the pod."""

    def __init__(self, sse_streams: SseStreams, snapshots: Snapshots) -> None:
        self._sse_streams = sse_streams
        self._snapshots = snapshots
        self._channels: Channels = sse_streams.channels
        self._streams: OpenStreams = sse_streams.open_streams

    @Operation(
        method="GET",
        path="/api/gateway/events",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="Stream your events",
        text="First `snapshot`: unfinished jobs, the pod's state, the cost, the installer. Then `job_status`, "
        "`job_progress` (with `percent`), `job_output`, `job_preview` (if requested), `pod_status`, `cost_update` and "
        "`setup_progress` as they happen; an admin receives the events of all users. A client that reconnects with "
        "the id of its last event receives the events since then; when they are no longer kept, or the gateway was "
        "restarted, it receives `reset`, a `snapshot` and the ends of its jobs. `end` gives the reason for the end of "
        "the stream: `draining`, `too_slow`, `key_revoked`, `key_expired`.",
        parameters=(LAST_EVENT_ID, IN_QUERY, CHOSEN),
        answers=(Answer("Server-sent events until the client disconnects.", None, EXAMPLE, media=EVENTS),),
        problems=(Code.INVALID_REQUEST, *STREAMING),
        lasting=True,
    )
    async def follow(self, request: GatewayRequest) -> Response:
        """Stream events until the client disconnects."""
        types = read_types(request)
        stream = self._sse_streams.open(request, request.who.visible_owner)
        return stream.answer(self._frames(stream, types))

    async def _frames(self, stream: SseStream, types: frozenset[str]) -> AsyncIterator[bytes]:
        for event in await self._snapshots.beginning(stream.request.who, stream.channel, stream.cursor):
            yield sse.frame(event.name, event.data, event.id)
        async for entries in stream.entries():
            frames = (sse.frame(*event) for event in wanted(stream.channel, entries, types))
            yield b"".join(frames) if entries else sse.KEEP_ALIVE

    @Operation(
        method="GET",
        path="/api/gateway/ws",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="Stream your events over a WebSocket",
        text='Each message is `{"id", "type", "data"}`, with the same ids as at `/api/gateway/events`, which also '
        "accepts WebSockets.",
        parameters=(LAST_EVENT_ID, IN_QUERY, CHOSEN),
        answers=(Answer("The connection becomes a WebSocket.", status=101, media=None),),
        problems=(Code.INVALID_REQUEST, Code.UPGRADE_REQUIRED, Code.ORIGIN_NOT_ALLOWED, *STREAMING),
        lasting=True,
    )
    async def refuse(self, request: GatewayRequest) -> Response:  # noqa: ARG002 - the form of a handler
        """Refuse a request that does not ask for a WebSocket; raises Problem."""
        raise Problem(Code.UPGRADE_REQUIRED)

    @SocketOperation(path="/api/gateway/ws", also=("/api/gateway/events",))
    async def serve(self, request: GatewaySocket, socket: Socket, check: Check) -> None:
        """Send the caller's events over a WebSocket; raises Problem before it is accepted."""
        types = read_types(request)
        channel = self._channels.of(request.who.visible_owner)
        cursor = channel.cursor_after(last_id(request))
        reader = Subscription(channel, cursor.number)

        async def write() -> str:
            try:
                for event in await self._snapshots.beginning(request.who, channel, cursor):
                    await socket.send(_message(event))
                while True:
                    entries = await reader.read(self._sse_streams.keep_alive_seconds)
                    for event in wanted(channel, entries, types):
                        await socket.send(_message(event))
            except EndedError as ended:
                await socket.send(orjson.dumps({"type": END, "data": {"reason": ended.reason}}).decode())
                return ended.reason

        with reader, self._streams.registered(request.who, check, reader.end):
            await socket.accept()
            await socket.run(write(), lambda _: None)


def _message(event: OutboundEvent) -> str:
    return f'{{"id":"{event.id}","type":"{event.name}","data":{event.data.decode()}}}'


def read_types(request: Connection) -> frozenset[str]:
    """Return the types of events in the query, or all except previews without one; raises Problem."""
    text = request.query.get("types")
    types = TYPES - {job_events.PREVIEW} if text is None else frozenset(text.split(","))
    if types - TYPES:
        known = ", ".join(sorted(TYPES))
        members = fault("types", "not a list of known types")
        raise Problem(Code.INVALID_REQUEST, f"types: must be a list of {known}, separated by commas.", members=members)
    return types


def wanted(channel: Channel, entries: list[NumberedEvent], types: frozenset[str]) -> list[OutboundEvent]:
    """Return the events of the requested types, in the form that is sent."""
    chosen = [(number, at_ms, event) for number, at_ms, event in entries if event.name in types]
    return [OutboundEvent(event.name, event.data, channel.id_of(number, at_ms)) for number, at_ms, event in chosen]
