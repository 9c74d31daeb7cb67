"""Batches: one request, many jobs, one status."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from typing import Any

from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.audit import Act
from provisioning.gateway.handlers.acting import on_anothers
from provisioning.gateway.handlers.prompts import new_job
from provisioning.gateway.jobs import batch as batches
from provisioning.gateway.jobs.batch import Batch
from provisioning.gateway.jobs.batches import Member
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.scheduler import Forecast
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.v2 import bodies, documents
from provisioning.gateway.v2.jobs import idempotency_key, request_hash, shared_class, whole
from provisioning.gateway.web.exchange import Exchange

MAX_PAGE = 100


async def submit(services: Services, exchange: Exchange) -> None:
    """Take many workflows, all or none; with an Idempotency-Key, the same request again is the same batch."""
    body = await exchange.json(services.settings.max_body_bytes)
    who, now = exchange.who, services.clock.now_ms()
    graphs = batches.workflows(body, _most(services, who))
    key, digest = idempotency_key(exchange), request_hash(body)
    url = await services.webhooks.allowed(bodies.webhook_url(body.get("webhook_url")))
    batch = Batch(str(uuid.uuid4()), who.owner, who.key_id, now, len(graphs), key, digest, url)
    if await _replay(services, exchange, batch):
        return
    jobs = [await _job(services, exchange, graph, body, batch.id) for graph in graphs]
    await services.scheduler.submit_all(
        jobs, lambda: services.batches.accept(batch, jobs, services.ledger.accept_within)
    )
    await exchange.send_json(await document(services, batch), 201)


def _most(services: Services, who: Actor) -> int:
    """Return how many jobs a batch may hold: no more than could ever be in the queue at once."""
    return min(services.settings.max_batch, services.reception.limits.queue(who).most or services.settings.max_queued)


async def _job(services: Services, exchange: Exchange, workflow: object, body: dict[str, Any], batch_id: str) -> Job:
    job = new_job(services, exchange, workflow)
    job.priority = shared_class(exchange, bodies.priority(body.get("priority")))
    job.timeout_ms = bodies.timeout_ms(body.get("timeout_seconds"), services.settings) or job.timeout_ms
    job.batch_id = batch_id
    # Looked at before anything is accepted: an input that is not the caller's refuses the whole batch.
    await services.dispatch.rewritten(job)
    return job


async def _replay(services: Services, exchange: Exchange, batch: Batch) -> bool:
    if batch.idempotency_key is None:
        return False
    known = await services.batches.of_key(batch.owner, batch.idempotency_key)
    if known is None or known.created_at < batch.created_at - documents.DAY_MS:
        return False
    if known.request_hash != batch.request_hash:
        raise Problem(Code.IDEMPOTENCY_KEY_REUSE)
    exchange.extra_headers.append(("idempotency-replayed", "true"))
    await exchange.send_json(await document(services, known), 201)
    return True


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with a batch and the state of each of its jobs."""
    await exchange.send_json(await document(services, await _own(services, exchange)))


async def page(services: Services, exchange: Exchange) -> None:
    """Answer with the caller's batches, newest first; `cursor` continues a former page."""
    limit, before = min(whole(exchange, "limit", 20), MAX_PAGE), whole(exchange, "cursor", 2**53)
    found = await services.batches.page(visible_owner(exchange.who), before=before, limit=limit)
    documents_ = [await document(services, batch) for _, batch in found]
    cursor = str(found[-1][0]) if len(found) == limit else None
    await exchange.send_json({"batches": documents_, "next_cursor": cursor})


async def cancel(services: Services, exchange: Exchange) -> None:
    """Have every job of a batch end that has not; answers with the batch as it is then."""
    batch = await _own(services, exchange)
    await on_anothers(services, exchange, Act.BATCH_CANCELLED, batch.id, batch.owner)
    live = [services.tracker.get(member.id) for member in await services.batches.members(batch.id)]
    await asyncio.shield(services.canceller.cancel_all([job for job in live if job is not None]))
    await exchange.send_json(await document(services, batch))


async def _own(services: Services, exchange: Exchange) -> Batch:
    batch = await services.batches.get(exchange.params["id"], visible_owner(exchange.who))
    if batch is None:
        raise Problem(Code.NOT_FOUND)
    return batch


async def document(services: Services, batch: Batch) -> dict[str, Any]:
    """Return a batch with the state of each of its jobs."""
    members = await services.batches.members(batch.id)
    forecasts = services.scheduler.forecasts()
    jobs = [_member(member, forecasts.get(member.id)) for member in members]
    words = ("queued", "running", "canceling", "succeeded", "failed", "canceled")
    counts = Counter(job["status"] for job in jobs)
    ends = [forecasts[member.id].end_seconds for member in members if member.id in forecasts]
    url = f"/api/gateway/batches/{batch.id}"
    return {
        "id": batch.id,
        "status": batches.status(Counter(member.state for member in members)),
        "created_at": documents.moment(batch.created_at),
        "total": batch.size,
        "counts": {word: counts[word] for word in words},
        "estimated_seconds": max(ends, default=None),
        "jobs": jobs,
        "urls": {"self": url, "cancel": f"{url}/cancel"},
    }


def _member(member: Member, forecast: Forecast | None) -> dict[str, Any]:
    return {
        "id": member.id,
        "status": documents.status(member.state, cancelling=member.cancel_requested),
        "queue_position": forecast.position if forecast is not None else None,
        "error": member.error,
        "url": f"/api/v2/jobs/{member.id}",
    }
