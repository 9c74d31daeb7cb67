"""The queue as its users may know it: every unfinished job, its place, and when its turn comes."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.scheduler import Forecast
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.v2 import documents
from provisioning.gateway.web.exchange import Exchange


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with the caller's unfinished jobs, the next one first; an admin sees everybody's."""
    mine = {job.id for job in services.tracker.of(visible_owner(exchange.who))}
    order, forecasts = services.scheduler.order(), services.scheduler.forecasts()
    jobs = [_entry(job, forecasts[job.id]) for job in order if job.id in mine]
    most = services.reception.limits.queue(exchange.who).most
    await exchange.send_json({"jobs": jobs, "queued": len(order), "limit": most})


def _entry(job: Job, forecast: Forecast) -> dict[str, Any]:
    return {
        "id": job.id,
        "status": documents.status(job.state, cancelling=job.cancel_requested),
        "priority": job.priority,
        "submitted_at": documents.moment(job.submitted_at),
        "started_at": documents.moment(job.started_at),
        "queue_position": forecast.position,
        "queue_wait_seconds": forecast.wait_seconds,
        "estimated_seconds": forecast.end_seconds,
        "batch_id": job.batch_id,
        "url": f"/api/v2/jobs/{job.id}",
    }
