"""Submitting a workflow."""

from __future__ import annotations

import re
import uuid
from typing import Any

import orjson

from provisioning.gateway.jobs import graph, workflow_limits
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.web.exchange import Exchange

CLIENT_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


async def submit(services: Services, exchange: Exchange) -> None:
    """Take a workflow, write it down and hand it to ComfyUI.

    Only the graph and the client's label are taken from the body: `number`, `front`, `extra_data` and the rest would
    reach into other people's queue.
    """
    body = await exchange.json(services.settings.max_body_bytes)
    job = new_job(services, exchange, body.get("prompt"), body.get("client_id"))
    await exchange.send_json(await launch(services, exchange, job))


def new_job(services: Services, exchange: Exchange, workflow: object, client_id: object = None) -> Job:
    """Return a job for a workflow of the caller's, not written down yet; raises Problem."""
    services.check_not_draining()
    services.space.check()
    job = Job(
        id=str(uuid.uuid4()),
        key_id=exchange.who.key_id,
        owner=exchange.who.owner,
        admin=exchange.who.is_admin,
        client_id=client_id if isinstance(client_id, str) and CLIENT_ID.fullmatch(client_id) else "",
        workflow=orjson.dumps(graph.read(workflow, workflow_limits.of_options(services.settings))),
        submitted_at=services.clock.now_ms(),
        timeout_ms=round(services.settings.job_timeout_seconds * 1000),
        room=services.reception.limits.queue(exchange.who),
        ceilings=services.accounting.ceilings(exchange.who),
    )
    job.posting = True
    return job


async def launch(services: Services, exchange: Exchange, job: Job) -> dict[str, Any]:
    """Put a job in the queue; returns ComfyUI's answer, or its like for a job whose turn comes later. Raises Problem.

    ComfyUI checks a workflow only when it is handed over: a job that waits and is then refused ends as rejected.
    """
    await services.dispatch.rewritten(job)
    exchange.job_id = job.id
    await services.scheduler.submit(job)
    number = job.answer.get("number", services.scheduler.position(job.id) or 0)
    return {"prompt_id": job.id, "number": number, "node_errors": job.answer.get("node_errors") or {}}


async def waiting(services: Services, exchange: Exchange) -> None:
    """Say how many of the caller's jobs are unfinished, in ComfyUI's form."""
    jobs = services.tracker.of(visible_owner(exchange.who))
    await exchange.send_json({"exec_info": {"queue_remaining": len(jobs)}})
