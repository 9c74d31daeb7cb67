"""Jobs of the Comfy API v2."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from provisioning.gateway.handlers.acting import end_anothers
from provisioning.gateway.handlers.prompts import launch, new_job
from provisioning.gateway.jobs.job import Job, JobState
from provisioning.gateway.jobs.rows import JobRecord
from provisioning.gateway.jobs.scheduler import Forecast
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.storage.assets import Asset
from provisioning.gateway.v2 import bodies, documents
from provisioning.gateway.v2.assets import measured
from provisioning.gateway.web.exchange import Exchange

MAX_PAGE = 100
MAX_PRIORITY = 10
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


async def submit(services: Services, exchange: Exchange) -> None:
    """Take a workflow; with an Idempotency-Key, the same request again answers with the same job."""
    body = await exchange.json(services.settings.max_body_bytes)
    given = bodies.read(body)
    job = new_job(services, exchange, given.workflow)
    job.priority = shared_class(exchange, given.priority)
    job.label = None if given.metadata is None else orjson.dumps(given.metadata)
    job.webhook_url = await services.webhooks.allowed(given.webhook_url)
    job.idempotency_key = idempotency_key(exchange)
    job.request_hash = request_hash(body)
    job.timeout_ms = bodies.timeout_ms(body.get("timeout_seconds"), services.settings) or job.timeout_ms
    if await _replay(services, exchange, job):
        return
    try:
        await launch(services, exchange, job)
    except Problem:
        if services.tracker.get(job.id) is None:
            # It is final and never ran: the same request may be tried again under the same key.
            await services.ledger.release_key(job)
        raise
    await _send(services, exchange, job.id, status=201)


def shared_class(exchange: Exchange, given: int) -> int:
    """Return a job's class: everybody may stand back, and only an admin may push in; other values are advice."""
    return max(-MAX_PRIORITY, min(given, MAX_PRIORITY if exchange.who.is_admin else 0))


def request_hash(body: dict[str, Any]) -> bytes:
    """Return what tells one request from another under the same idempotency key."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()


def idempotency_key(exchange: Exchange) -> str | None:
    """Return the request's Idempotency-Key; raises Problem when it is malformed."""
    key = exchange.header("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        message = "Idempotency-Key: 1 to 255 visible characters."
        raise Problem(Code.INVALID_REQUEST, message, members=fault("idempotency-key", "malformed"))
    return key


async def _replay(services: Services, exchange: Exchange, job: Job) -> bool:
    if job.idempotency_key is None:
        return False
    known = await services.ledger.row_of_key(job.owner, job.idempotency_key)
    if known is None or known.submitted_at < job.submitted_at - documents.DAY_MS:
        return False
    if known.request_hash != job.request_hash:
        raise Problem(Code.IDEMPOTENCY_KEY_REUSE)
    live = services.tracker.get(known.id)
    if live is not None and live.posting:
        raise Problem(Code.IDEMPOTENCY_CONFLICT)
    exchange.extra_headers.append(("idempotency-replayed", "true"))
    await _send(services, exchange, known.id, status=201)
    return True


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with a job."""
    await _send(services, exchange, exchange.params["id"])


async def show_workflow(services: Services, exchange: Exchange) -> None:
    """Answer with the workflow of a job, as it was sent."""
    row = await find(services, exchange, exchange.params["id"])
    if not row.workflow:
        raise Problem(Code.NOT_FOUND)
    await exchange.send_json({"workflow": orjson.loads(row.workflow), "format": "api"})


def whole(exchange: Exchange, name: str, default: int) -> int:
    """Return a query parameter that is a whole number from 1; raises Problem."""
    text = exchange.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 17 and int(text) > 0):
        raise Problem(Code.INVALID_REQUEST, f"{name}: a whole number.", members=fault(name, "not a whole number"))
    return int(text)


async def cancel(services: Services, exchange: Exchange) -> None:
    """Have a job end, whether it waits or runs; one that has ended stays as it is."""
    row = await find(services, exchange, exchange.params["id"])
    live = services.tracker.get(row.id)
    if live is not None:
        await end_anothers(services, exchange, [live])
        await asyncio.shield(services.canceller.cancel(live))
    await _send(services, exchange, row.id)


async def find(services: Services, exchange: Exchange, job_id: str) -> JobRecord:
    """Return a job that the caller may see, as it is now; raises Problem NOT_FOUND."""
    row, _ = await _find_with_files(services, exchange, job_id)
    return row


async def _find_with_files(services: Services, exchange: Exchange, job_id: str) -> tuple[JobRecord, list[Asset]]:
    owner = visible_owner(exchange.who)
    live = services.tracker.get(job_id)
    if live is not None and owner in {None, live.owner} and not live.posting:
        await services.tracker.refresh(live)
    row, made = await services.ledger.row_and_files(job_id, owner)
    if row is None:
        raise Problem(Code.NOT_FOUND)
    return row, made


async def _send(services: Services, exchange: Exchange, job_id: str, status: int = 200) -> None:
    row, made = await _find_with_files(services, exchange, job_id)
    # What waits has to be gone through for forecasts; a job that has ended needs none.
    forecasts = {} if row.finished_at else services.scheduler.forecasts()
    found = await view(services, exchange, row, forecasts, made)
    await exchange.send_json(documents.job(row, found), status)


async def view(
    services: Services, exchange: Exchange, row: JobRecord, forecasts: Mapping[str, Forecast], made: Iterable[Asset]
) -> documents.View:
    """Return what a job's document needs beside its row; `made`: its files."""
    live = services.tracker.get(row.id)
    return documents.View(
        base=documents.base_url(exchange),
        now=services.clock.now_ms(),
        retention_ms=services.settings.retention_days * documents.DAY_MS,
        live=live if live is not None and live.state is JobState.RUNNING else None,
        forecast=forecasts.get(row.id),
        assets=tuple([await measured(services, asset) for asset in made]),
    )
