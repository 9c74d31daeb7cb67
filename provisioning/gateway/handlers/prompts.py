"""Submitting a workflow."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

import orjson

from provisioning.gateway import graph
from provisioning.gateway.exchange import Exchange
from provisioning.gateway.jobs import Job, StoredFile
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.upstream import Request

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
    return Job(
        id=str(uuid.uuid4()),
        key_id=exchange.who.key_id,
        owner=exchange.who.owner,
        admin=exchange.who.is_admin,
        client_id=client_id if isinstance(client_id, str) and CLIENT_ID.fullmatch(client_id) else "",
        workflow=orjson.dumps(graph.read(workflow, services.settings.max_nodes)),
        submitted_at=services.clock.now_ms(),
        posting=True,
    )


async def launch(services: Services, exchange: Exchange, job: Job) -> dict[str, Any]:
    """Write a job down and hand it to ComfyUI; returns ComfyUI's answer. Raises Problem."""
    rewritten = await _rewritten(services, exchange, job)
    exchange.job_id = job.id
    # Shielded: a client that hangs up must not leave a job half submitted.
    return await asyncio.shield(_dispatch(services, job, rewritten))


async def _rewritten(services: Services, exchange: Exchange, job: Job) -> graph.Graph:
    workflow: graph.Graph = job.graph
    ids = graph.asset_ids(workflow)
    found = await services.assets.of_ids(ids, visible_owner(exchange.who)) if ids else {}
    assets = {asset_id: _loaded_name(asset.file) for asset_id, asset in found.items()}
    catalogue = await services.catalogue.get()
    rules = graph.Rules(services.realm(exchange.who), job.id, catalogue.file_inputs, assets)
    return graph.rewrite(workflow, rules)


def _loaded_name(file: StoredFile) -> str:
    name = "/".join(filter(None, (file.subfolder, file.filename)))
    return name if file.type == "input" else f"{name} [{file.type}]"


async def _dispatch(services: Services, job: Job, rewritten: graph.Graph) -> dict[str, Any]:
    # Counted first, in one step with the check, so that parallel requests find no more room than there is.
    services.tracker.follow(job)
    await _accept(services, job)
    try:
        return await _post(services, job, rewritten)
    finally:
        job.posting = False


async def _accept(services: Services, job: Job) -> None:
    try:
        # Written down before ComfyUI hears of it: after a crash the id is looked for there.
        accepted = await services.ledger.accept(job)
    except Problem:
        services.tracker.forget(job)
        raise
    if not accepted:
        services.tracker.forget(job)
        raise Problem(Code.IDEMPOTENCY_CONFLICT)


async def _post(services: Services, job: Job, rewritten: graph.Graph) -> dict[str, Any]:
    payload = orjson.dumps({"prompt": rewritten, "prompt_id": job.id, "client_id": services.client_id})
    request = Request("POST", "/prompt", headers={"Content-Type": "application/json"}, body=payload)
    try:
        status, answer = await services.upstream.call(request)
    except Problem as problem:
        if problem.code is Code.UPSTREAM_UNAVAILABLE:
            # No connection, so nothing was sent. In every other case the job may run: it is followed until it is known.
            await services.tracker.reject(job, problem.code.value)
        raise
    answer = services.tracker.realm(job).clean(answer) if isinstance(answer, dict) else {}
    if status != 200:
        await _refuse(services, job, status, answer)
    if answer.get("prompt_id") != job.id:
        raise Problem(Code.UPSTREAM_ERROR)
    await services.ledger.queued(job, services.clock.now_ms())
    return {"prompt_id": job.id, "number": answer.get("number", 0), "node_errors": answer.get("node_errors") or {}}


async def _refuse(services: Services, job: Job, status: int, answer: dict[str, Any]) -> None:
    code = Code.INVALID_WORKFLOW if status == 400 else Code.UPSTREAM_ERROR
    await services.tracker.reject(job, code.value)
    if code is Code.UPSTREAM_ERROR:
        raise Problem(code)
    given = answer.get("error")
    error: dict[str, Any] = given if isinstance(given, dict) else {}
    detail = " ".join(filter(None, (str(error.get("message", "")), str(error.get("details", "")))))
    members = {"node_errors": answer.get("node_errors") or {}, "error": error | {"code": code.value}}
    raise Problem(code, detail.strip() or None, members=members)


async def waiting(services: Services, exchange: Exchange) -> None:
    """Say how many of the caller's jobs are unfinished, in ComfyUI's form."""
    jobs = services.tracker.of(visible_owner(exchange.who))
    await exchange.send_json({"exec_info": {"queue_remaining": len(jobs)}})
