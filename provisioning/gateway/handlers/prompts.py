"""Submitting a workflow."""

from __future__ import annotations

import re
import uuid
from typing import Any

import orjson

from provisioning.gateway.jobs import graph, workflow_limits
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.web.exchange import Exchange

CLIENT_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
PROMPT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
"""A UUID as Python writes it: the only form of an id that ComfyUI takes."""


async def submit(services: Services, exchange: Exchange) -> None:
    """Take a workflow, write it down and hand it to ComfyUI.

    Only the graph, the client's label and its `prompt_id` are taken from the body: `number`, `front`, `extra_data` and
    the rest would reach into other people's queue. The same workflow again under one `prompt_id` is the same job.
    """
    body = await exchange.json(services.settings.max_body_bytes)
    prompt_id = _prompt_id(body.get("prompt_id"))
    job = new_job(services, exchange, body.get("prompt"), body.get("client_id"))
    if prompt_id is None:
        await exchange.send_json(await launch(services, exchange, job))
    else:
        job.id = prompt_id
        await exchange.send_json(await _launch_once(services, exchange, job))


async def _launch_once(services: Services, exchange: Exchange, job: Job) -> dict[str, Any]:
    """Put a job with an id of the caller's in the queue, unless it is there or has been; raises Problem."""
    if (answer := await _submitted_before(services, job)) is not None:
        return answer
    try:
        return await launch(services, exchange, job)
    except Problem as problem:
        if problem.code is Code.INVALID_PROMPT_ID and (answer := await _submitted_before(services, job)) is not None:
            return answer
        if services.tracker.get(job.id) is None:
            # It was refused and never ran, and its caller hears of it now: the id is free again, as in ComfyUI.
            await services.ledger.forget_refused(job)
        raise


def _prompt_id(given: object) -> str | None:
    """Return the id that the caller gives its job; raises Problem for what ComfyUI would not take as one."""
    if given is None:
        return None
    if not isinstance(given, str) or not PROMPT_ID.fullmatch(given):
        raise _id_refused("prompt_id must be a UUID in its lower-case form")
    return given


async def _submitted_before(services: Services, job: Job) -> dict[str, Any] | None:
    """Return the answer for a job that the same caller submitted under the same id; None when nobody did.

    Raises Problem when the id is another job's, whoever submitted that.
    """
    live = services.tracker.get(job.id)
    if live is not None:
        # It is being written down or handed over: what comes of that is known in a moment.
        await live.at_rest.wait()
    row = await services.ledger.row(job.id, None)
    if row is None and live is None:
        return None
    if row is None or (row.owner, row.workflow) != (job.owner, job.workflow):
        raise _id_refused("prompt_id is taken")
    if live is not None and live.refusal is not None:
        raise live.refusal
    return {"prompt_id": job.id, "number": services.scheduler.position(job.id) or 0, "node_errors": {}}


def _id_refused(message: str) -> Problem:
    error = {"type": "invalid_prompt_id", "message": message, "details": "", "extra_info": {}}
    members = {"error": error | {"code": Code.INVALID_PROMPT_ID.value}, "node_errors": {}}
    return Problem(Code.INVALID_PROMPT_ID, f"{message}.", members=members)


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

    ComfyUI checks a workflow only when it is handed over: a job that waits and is then refused ends with an error that
    events and the history tell.
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
