"""Events of a job in the form of the Comfy API v2: the current state on connecting, then changes until the job's end.

The SDKs ignore event ids and reconnect for the current state; other clients resume with Last-Event-ID.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import lru_cache

import orjson
from starlette.responses import Response

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.base_url import base_url
from provisioning.gateway.core.http.operation import EVENTS, UPSTREAM, Answer, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.docs.examples import PROGRESS_EVENTS
from provisioning.gateway.events import job_events, sse
from provisioning.gateway.events.channels import Event
from provisioning.gateway.events.completion_events import CompletionEvents
from provisioning.gateway.events.job_events import JobEvents
from provisioning.gateway.events.open_streams import STREAMING
from provisioning.gateway.events.sse_streams import LAST_EVENT_ID, RESET, SseStream, SseStreams
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.repository import JobRecord
from provisioning.gateway.jobs.tracker import Tracker

_OWN_MEMBERS = {
    job_events.STATUS: frozenset({"job_id", "error", "completed_at", "metrics"}),
    job_events.PROGRESS: frozenset({"job_id", "percent"}),
    job_events.PREVIEW: frozenset({"job_id"}),
}
"""Fields of the gateway's own stream that the Comfy API does not have."""


class JobEventRoutes:
    """Streams the events of callers' jobs."""

    def __init__(
        self, streams: SseStreams, ends: CompletionEvents, job_events: JobEvents, tracker: Tracker, ledger: Ledger,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._streams = streams
        self._ends = ends
        self._job_events = job_events
        self._tracker = tracker
        self._ledger = ledger
        self._clock = clock

    @Operation(
        method="GET",
        path="/api/v2/jobs/{id}/events",
        access=Scope.READ,
        tag=Tag.JOBS,
        summary="Stream a job's events",
        text="The state on connecting, then `status`, `progress`, `preview` and `output` events as they happen, "
        "and a comment every 15 s to keep proxies from closing the connection. With `Last-Event-ID`, the events after "
        "that one instead of the state; `reset` reports that they are no longer kept, and the state follows. `end` "
        "gives the reason when the stream ends before the job does.",
        parameters=(LAST_EVENT_ID,),
        answers=(
            Answer("Server-sent events until the job's end.", None, PROGRESS_EVENTS, media=EVENTS),
            Answer("The job has ended, and the client has received all its events.", status=204, media=None),
        ),
        problems=(*STREAMING, *UPSTREAM),
        lasting=True,
    )
    async def follow(self, request: GatewayRequest) -> Response:
        """Stream a job's events; raises Problem when there is no such job of the caller's."""
        job_id, owner = request.path_params["id"], (await self._row(request)).owner
        stream = self._streams.open(request, owner)
        if stream.cursor.resumed and stream.channel.has_sent_end(job_id, stream.cursor.number):
            # Only 204 stops a browser's EventSource from reconnecting.
            return Response(status_code=204)
        # Read after the stream has its cursor, so that no event is missed in between.
        return stream.answer(self._frames(stream, await self._row(request)))

    async def _frames(self, stream: SseStream, row: JobRecord) -> AsyncIterator[bytes]:
        base, resumed = base_url(stream.request), stream.cursor.resumed
        if not resumed:
            yield await self._first(stream, row, base)
        if resumed or row.finished_at is None:
            async for frame in _following(stream, row.id, base):
                yield frame

    async def _row(self, request: GatewayRequest) -> JobRecord:
        row = await self._ledger.row(request.path_params["id"], request.who.visible_owner)
        if row is None:
            raise Problem(Code.NOT_FOUND)
        return row

    async def _first(self, stream: SseStream, row: JobRecord, base: str) -> bytes:
        """Return the job's state, with the id from which the client can resume."""
        events, state_id = await self._state(row), stream.state_id(self._clock.now_ms())
        frames = [sse.frame(RESET, b"{}", state_id)] if stream.cursor.lost else []
        return b"".join(frames + [_frame(event, base, state_id) for event in events])

    async def _state(self, row: JobRecord) -> list[Event]:
        if row.finished_at is not None:
            return await self._ends.of_row(row)
        live = self._tracker.get(row.id)
        return [] if live is None else self._job_events.state(live)


async def _following(stream: SseStream, job_id: str, base: str) -> AsyncIterator[bytes]:
    async for entries in stream.entries():
        own = [entry for entry in entries if entry.event.job_id == job_id]
        frames = (_frame(entry.event, base, stream.id_of(entry)) for entry in own)
        yield b"".join(frames) if entries else sse.KEEP_ALIVE
        if any(entry.event.last for entry in own):
            return


def _frame(event: Event, base: str, event_id: str) -> bytes:
    return sse.frame(event.name.removeprefix("job_"), _translated(event, base), event_id)


@lru_cache(maxsize=16)
def _translated(event: Event, base: str) -> bytes:
    """Return an event's data in the form of the Comfy API; cached, since several streams often send the same event."""
    data = orjson.loads(event.data)
    if event.name == job_events.OUTPUT:
        return orjson.dumps(data | {"url": base + data["url"]})
    own = _OWN_MEMBERS[event.name]
    return orjson.dumps({name: value for name, value in data.items() if name not in own})
