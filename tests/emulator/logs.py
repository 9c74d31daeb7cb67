"""Logs of a pod as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from tests.emulator import emulator
from tests.emulator.clock import parse_iso
from tests.emulator.podlog import Event, Logs
from tests.emulator.problems import invalid
from tests.emulator.state import Pod

KEEPALIVE_POLLS = 75
"""A comment every 15 s keeps what lies between from closing a silent stream."""

routes = web.RouteTableDef()


@dataclass(frozen=True)
class Selection:
    """What a reader of a log asked for."""

    source: str | None
    tail: int
    after: tuple[float, float] | None
    """Time and number of the last event already seen; wins over `tail`."""

    def first(self, events: list[Event]) -> list[Event]:
        """Return the events to begin with."""
        if self.after is not None:
            return [event for event in events if (event.ts, event.seq) > self.after]
        return events[-self.tail :] if self.tail else []


def selection(request: web.Request) -> Selection:
    """Read what a request asks for; the header wins over `since`, which wins over `tail`."""
    last, since = request.headers.get("Last-Event-ID"), request.query.get("since")
    try:
        after = position(last) if last else (parse_iso(since), -1) if since else None
    except ValueError as error:
        raise invalid(f"Last-Event-ID or since: {error}") from error
    return Selection(request.query.get("source"), int(request.query.get("tail", "100")), after)


def position(event_id: str) -> tuple[float, float]:
    """Return time and number of an event id; one without a number stands for all events of its moment."""
    moment, _, number = event_id.partition("/")
    return parse_iso(moment), int(number) if number else math.inf


@routes.get("/v2/pods/{id}/logs")
async def stream_logs(request: web.Request) -> web.StreamResponse:
    """Stream a pod's log, what is there first and what comes then, until the pod is gone."""
    pod, wanted = emulator.pod_of(request), selection(request)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache",
            "Connection": "keep-alive",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    # A reader who goes away is no fault of ours.
    with suppress(ConnectionError):
        await follow(emulator.of(request).logs, pod, wanted, response)
    return response


async def follow(logs: Logs, pod: Pod, wanted: Selection, response: web.StreamResponse) -> None:
    """Send what is wanted of a log, and what is added to it while the pod exists."""
    logs.collect(pod.id)
    events = wanted.first(logs.events(pod.id, wanted.source))
    last, silent = max((event.seq for event in logs.events(pod.id)), default=0), 0
    while pod.ended_at is None:
        for event in events:
            await response.write(event.encode())
        silent = 0 if events else silent + 1
        if silent % KEEPALIVE_POLLS == KEEPALIVE_POLLS - 1:
            await response.write(b": still here\n\n")
        await asyncio.sleep(logs.poll_seconds)
        if pod.ended_at is None:
            logs.collect(pod.id)
            events = [event for event in logs.events(pod.id, wanted.source) if event.seq > last]
            last = max((event.seq for event in events), default=last)
