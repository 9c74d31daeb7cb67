"""A job's events as the Comfy API v2 has them: its state on connecting, then what happens, until its end.

The contract's own clients ignore ids and connect anew for the state as it is; others go on with Last-Event-ID.
"""

from __future__ import annotations

from functools import lru_cache

import orjson

from provisioning.gateway.events import sse
from provisioning.gateway.events.channels import Event
from provisioning.gateway.handlers.listening import RESET, Stream, opened
from provisioning.gateway.jobs.rows import JobRecord
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.telling import endings
from provisioning.gateway.telling import jobs as telling
from provisioning.gateway.v2 import documents
from provisioning.gateway.web.exchange import Exchange

_OWN_MEMBERS = {
    telling.STATUS: frozenset({"job_id", "error", "completed_at", "metrics"}),
    telling.PROGRESS: frozenset({"job_id", "percent"}),
    telling.PREVIEW: frozenset({"job_id"}),
}
"""What the gateway's own stream says beside what the contract has."""


async def follow(services: Services, exchange: Exchange) -> None:
    """Stream a job's events; raises Problem when there is no such job of the caller's."""
    job_id, owner = exchange.params["id"], (await _row(services, exchange)).owner
    async with opened(services, exchange, owner) as stream:
        place = stream.place
        if place.resumed and stream.channel.has_told_end(job_id, place.number):
            # A browser's EventSource comes back for ever unless it is told that there is nothing more.
            await exchange.send(204, b"", [])
            return
        # Read when the stream has its place, so that nothing happens unheard in between.
        row = await _row(services, exchange)
        await stream.start()
        if not place.resumed:
            await _write_state(services, stream, row)
        if place.resumed or row.finished_at is None:
            await _pass_on(stream, job_id)
        await exchange.write(b"", more=False)


async def _row(services: Services, exchange: Exchange) -> JobRecord:
    row = await services.ledger.row(exchange.params["id"], visible_owner(exchange.who))
    if row is None:
        raise Problem(Code.NOT_FOUND)
    return row


async def _write_state(services: Services, stream: Stream, row: JobRecord) -> None:
    """Write what has happened so far, under the id of the place where the stream goes on."""
    events = await _state(services, row)
    base, state_id = documents.base_url(stream.exchange), stream.state_id(services.clock.now_ms())
    frames = [sse.frame(RESET, b"{}", state_id)] if stream.place.lost else []
    await stream.write(b"".join(frames + [_frame(event, base, state_id) for event in events]))


async def _state(services: Services, row: JobRecord) -> list[Event]:
    if row.finished_at is not None:
        return await endings.of_row(services, row)
    live = services.tracker.get(row.id)
    return [] if live is None else services.teller.state(live)


async def _pass_on(stream: Stream, job_id: str) -> None:
    base = documents.base_url(stream.exchange)
    async for entries in stream.entries():
        own = [entry for entry in entries if entry.event.job_id == job_id]
        await stream.write(b"".join(_frame(entry.event, base, stream.id_of(entry)) for entry in own))
        if any(entry.event.last for entry in own):
            return


def _frame(event: Event, base: str, event_id: str) -> bytes:
    return sse.frame(event.name.removeprefix("job_"), _translated(event, base), event_id)


@lru_cache(maxsize=16)
def _translated(event: Event, base: str) -> bytes:
    """Return an event's data in the contract's words; often the same for many listeners at once."""
    data = orjson.loads(event.data)
    if event.name == telling.OUTPUT:
        return orjson.dumps(data | {"url": base + data["url"]})
    own = _OWN_MEMBERS[event.name]
    return orjson.dumps({name: value for name, value in data.items() if name not in own})
