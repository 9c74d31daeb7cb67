"""The last events of a job, from what is written down: so they are the same after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace

import orjson

from provisioning.gateway.events.channels import Event
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.rows import JobRecord
from provisioning.gateway.problems import Problem
from provisioning.gateway.services import Services
from provisioning.gateway.storage.assets import Asset
from provisioning.gateway.telling.jobs import OUTPUT, STATUS
from provisioning.gateway.v2 import documents
from provisioning.gateway.v2.assets import measured

SIZE_SECONDS = 2.0
"""How long an end waits for ComfyUI to say how large an output is."""

ATTEMPTS = 5
ATTEMPT_SECONDS = 1.0

_log = logging.getLogger(__name__)


async def tell(services: Services) -> None:
    """Tell of every end once it is written down, until cancelled."""
    while True:
        job = await services.teller.ends.get()
        for event in await _end(services, job):
            services.channels.tell(job.owner, event)
        services.channels.ended(job.owner, job.id)
        services.news.spent(job.owner)


async def _end(services: Services, job: Job) -> list[Event]:
    """Return the last events of a job; without its outputs, which v2 still has, when the database stays away."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(Problem):
            row = await services.ledger.row(job.id, None)
            return [] if row is None else await of_row(services, row)
        await asyncio.sleep(ATTEMPT_SECONDS)
    _log.error("the end of a job could not be read back", extra={"job_id": job.id})
    word = documents.status(job.state, cancelling=False)
    return [Event(STATUS, orjson.dumps({"job_id": job.id, "status": word}), job.id, last=True)]


async def of_row(services: Services, row: JobRecord) -> list[Event]:
    """Return the events that tell a job's end: its outputs and its final state. Raises Problem."""
    view = documents.View("", services.clock.now_ms(), 0)
    assets = [await sized(services, asset) for asset in await services.assets.of_job(row.id)]
    outputs = [{"job_id": row.id} | documents.output(asset, view) for asset in assets]
    return [*(Event(OUTPUT, orjson.dumps(output), row.id) for output in outputs), final(row)]


def final(row: JobRecord) -> Event:
    """Return the event that tells how a job ended."""
    document = documents.job(row, documents.View("", 0, 0))
    told = {"job_id": row.id} | {name: document[name] for name in ("status", "error", "completed_at", "metrics")}
    return Event(STATUS, orjson.dumps(told), row.id, last=True)


async def sized(services: Services, asset: Asset) -> Asset:
    """Return an asset with its size, unless ComfyUI does not say it soon: the end of a job does not wait for that."""
    with contextlib.suppress(Problem, TimeoutError):
        async with asyncio.timeout(SIZE_SECONDS):
            return await measured(services, asset)
    return replace(asset, size_bytes=None)
