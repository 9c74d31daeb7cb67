"""The gateway's own stream, one for each caller: its jobs, the pod, the price and what is being installed."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from provisioning.gateway.events import sse
from provisioning.gateway.events.channels import Channel, Entry, Place
from provisioning.gateway.events.reader import EndedError, Reader
from provisioning.gateway.events.streams import Check
from provisioning.gateway.handlers.listening import END, RESET, last_id, opened
from provisioning.gateway.handlers.sockets import Socket
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.rows import JobRecord
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.telling import costs, endings, jobs, news, pod
from provisioning.gateway.v2 import documents
from provisioning.gateway.web.exchange import Exchange

SNAPSHOT = "snapshot"
"""The state as it is; what follows are changes to it."""

TYPES = frozenset({jobs.STATUS, jobs.PROGRESS, jobs.PREVIEW, jobs.OUTPUT, *news.TYPES})

MAX_JOBS = 200
"""Unfinished jobs in a snapshot, and ends after a reset; the rest are at /api/v2/jobs."""

CLOCK_SLACK_MS = 5000
"""By how much the clocks of a pod and its successor may differ."""


class Told(NamedTuple):
    """One event as a client gets it."""

    name: str
    data: bytes
    id: str


async def follow(services: Services, exchange: Exchange) -> None:
    """Stream what happens as server-sent events until the client hangs up."""
    types = read_types(exchange)
    async with opened(services, exchange, visible_owner(exchange.who)) as stream:
        await stream.start()
        for told in await beginning(services, exchange, stream.channel, stream.place):
            await stream.write(sse.frame(told.name, told.data, told.id))
        async for entries in stream.entries():
            frames = (sse.frame(*told) for told in wanted(stream.channel, entries, types))
            await stream.write(b"".join(frames))


async def converse(services: Services, exchange: Exchange, socket: Socket, check: Check) -> None:
    """Send the same over a WebSocket, each event as `{"id", "type", "data"}`; raises Problem before it is accepted."""
    types = read_types(exchange)
    channel = services.channels.of(visible_owner(exchange.who))
    place = channel.place(last_id(exchange))
    reader = Reader(channel, place.number)

    async def write() -> str:
        try:
            for told in await beginning(services, exchange, channel, place):
                await socket.send(_message(told))
            while True:
                for told in wanted(channel, await reader.read(services.settings.keep_alive_seconds), types):
                    await socket.send(_message(told))
        except EndedError as ended:
            await socket.send(orjson.dumps({"type": END, "data": {"reason": ended.reason}}).decode())
            return ended.reason

    with reader, services.streams.place(exchange.who, check, reader.end):
        await socket.accept()
        await socket.run(write(), lambda _: None)


def _message(told: Told) -> str:
    return f'{{"id":"{told.id}","type":"{told.name}","data":{told.data.decode()}}}'


def read_types(exchange: Exchange) -> frozenset[str]:
    """Return the types of events that the query asks for, all but previews when it does not; raises Problem."""
    text = exchange.query.get("types")
    types = TYPES - {jobs.PREVIEW} if text is None else frozenset(text.split(","))
    if types - TYPES:
        known = ", ".join(sorted(TYPES))
        members = fault("types", "not a list of known types")
        raise Problem(Code.INVALID_REQUEST, f"types: some of {known}, with commas between them.", members=members)
    return types


def wanted(channel: Channel, entries: list[Entry], types: frozenset[str]) -> list[Told]:
    """Return those of the events that were asked for, as the client gets them."""
    chosen = [(number, at_ms, event) for number, at_ms, event in entries if event.name in types]
    return [Told(event.name, event.data, channel.id_of(number, at_ms)) for number, at_ms, event in chosen]


async def beginning(services: Services, exchange: Exchange, channel: Channel, place: Place) -> list[Told]:
    """Return what a client is told first: nothing when it goes on, else the state as it is.

    One that lost its place is told so, and how its jobs ended meanwhile. Raises Problem.
    """
    if place.resumed:
        return []
    state_id = channel.id_of(place.number, services.clock.now_ms())
    told = [Told(SNAPSHOT, orjson.dumps(await snapshot(services, exchange)), state_id)]
    if place.lost:
        rows = await _ended_since(services, exchange, place.since_ms)
        reset = {"since": documents.moment(place.since_ms), "ended": len(rows), "complete": len(rows) < MAX_JOBS}
        ends = [event for row in rows for event in await endings.of_row(services, row)]
        told = [Told(RESET, orjson.dumps(reset), state_id), *told, *(Told(e.name, e.data, state_id) for e in ends)]
    return told


async def _ended_since(services: Services, exchange: Exchange, since_ms: int | None) -> list[JobRecord]:
    if since_ms is None:
        return []
    since = since_ms - CLOCK_SLACK_MS
    return await services.ledger.ended(visible_owner(exchange.who), since=since, limit=MAX_JOBS)


async def snapshot(services: Services, exchange: Exchange) -> dict[str, Any]:
    """Return the caller's unfinished jobs and the newest of everything else. Raises Problem."""
    owner = visible_owner(exchange.who)
    live = services.tracker.of(owner)
    return {
        "jobs": [_job(services, job) for job in live[:MAX_JOBS]],
        "more_jobs": max(0, len(live) - MAX_JOBS),
        news.POD: pod.status(services),
        news.COST: await costs.document(services, owner),
        news.SETUP: services.news.setup(in_detail=owner is None) or None,
    }


def _job(services: Services, job: Job) -> dict[str, Any]:
    return services.teller.status(job) | {"progress": jobs.progress(job) if job.progress.node else None}
