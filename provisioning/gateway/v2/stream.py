"""A job's events as server-sent events: its state on connecting, then what happens, until its end."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import orjson

from provisioning.gateway.events import messages
from provisioning.gateway.events.hub import Listener, Message
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.services import Services
from provisioning.gateway.v2 import documents
from provisioning.gateway.v2.assets import measured
from provisioning.gateway.v2.jobs import find
from provisioning.gateway.web.exchange import Exchange

KEEP_ALIVE_SECONDS = 15.0
"""Well below what proxies take for a dead connection."""

_IMAGE_TYPES = {1: "image/jpeg", 2: "image/png"}
_HEADERS = [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]


async def follow(services: Services, exchange: Exchange) -> None:
    """Stream a job's events; raises Problem when there is no such job of the caller's."""
    listener = Listener(exchange.who, "", previews_with_metadata=True, job_id=exchange.params["id"])
    # Joined before the state is read, so that nothing happens unheard in between.
    services.hub.join(listener)
    watching = asyncio.create_task(exchange.until_gone())
    watching.add_done_callback(lambda _: listener.end())
    try:
        row = await find(services, exchange, exchange.params["id"])
        live = services.tracker.get(row.id)
        await exchange.start(200, _HEADERS)
        if live is not None:
            await _follow_live(services, exchange, live, listener)
        await _write_end(services, exchange, row.id)
    finally:
        watching.cancel()
        services.hub.leave(listener)


async def _follow_live(services: Services, exchange: Exchange, live: Job, listener: Listener) -> None:
    await _write(exchange, "status", _status(services, live))
    if live.progress.node is not None:
        await _write(exchange, "progress", documents.progress(live))
    async for message in _messages(exchange, listener):
        if services.tracker.get(live.id) is None:
            return
        for name, data in _translated(services, live, message):
            await _write(exchange, name, data)


async def _messages(exchange: Exchange, listener: Listener) -> AsyncIterator[Message]:
    while not listener.cut.is_set():
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                message = await listener.queue.get()
        except TimeoutError:
            await exchange.write(b": keep-alive\n\n", more=True)
            continue
        if message is None:
            return
        yield message


def _translated(services: Services, live: Job, message: Message) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(message, bytes):
        preview = messages.read_preview(message)
        return [("preview", _preview(live, preview))] if preview else []
    name, _ = messages.read_event(message)
    if name in {"status", "execution_start"}:
        return [("status", _status(services, live))]
    return [("progress", documents.progress(live))] if name in messages.JOB_EVENTS else []


def _status(services: Services, live: Job) -> dict[str, Any]:
    word = documents.status(live.state, cancelling=live.cancel_requested)
    return {"status": word, "queue_position": services.scheduler.position(live.id)}


def _preview(live: Job, preview: messages.Preview) -> dict[str, Any]:
    return {
        "node_id": live.progress.node or "",
        "content_type": _IMAGE_TYPES[preview.image_format],
        "data_base64": base64.b64encode(preview.image).decode(),
    }


async def _write_end(services: Services, exchange: Exchange, job_id: str) -> None:
    """Write the outputs and the final status, unless the stream ended before the job did."""
    row = await find(services, exchange, job_id)
    if row.finished_at is not None:
        view = documents.View(documents.base_url(exchange), services.clock.now_ms(), 0)
        for asset in await services.assets.of_job(row.id):
            found = await measured(services, asset)
            await _write(exchange, "output", documents.output(found, view))
        await _write(exchange, "status", {"status": documents.status(row.state, cancelling=False)})
    await exchange.write(b"", more=False)


async def _write(exchange: Exchange, name: str, data: dict[str, Any]) -> None:
    await exchange.write(b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n", more=True)
