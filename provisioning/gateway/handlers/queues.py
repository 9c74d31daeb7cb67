"""Seeing and leaving ComfyUI's queue."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.handlers.acting import end_anothers
from provisioning.gateway.jobs.job import JobState
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.web.exchange import Exchange


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with the caller's unfinished jobs, in ComfyUI's form.

    All of it from our own record and at one moment: a job that is just handed over is in neither of two lists that are
    asked for one after the other, and clients take a job that is in no list for lost.
    """
    owner = visible_owner(exchange.who)
    jobs = [job for job in services.scheduler.order() if owner in {None, job.owner}]
    running = [job for job in jobs if job.state is JobState.RUNNING]
    entries = [[place, job.id, job.graph, {"client_id": job.client_id}, []] for place, job in enumerate(jobs, 1)]
    await exchange.send_json({"queue_running": entries[: len(running)], "queue_pending": entries[len(running) :]})


async def change(services: Services, exchange: Exchange) -> None:
    """Take jobs out of the queue: those named in `delete`, or all with `clear`; only ever the caller's own."""
    body = await exchange.json(services.settings.max_body_bytes)
    jobs = services.tracker.of(visible_owner(exchange.who))
    if body.get("clear") is not True:
        wanted = id_list(body)
        jobs = [job for job in jobs if job.id in wanted]
    await end_anothers(services, exchange, [job for job in jobs if job.state is not JobState.RUNNING])
    await services.canceller.withdraw(jobs)
    await exchange.send_json({})


def id_list(body: dict[str, Any]) -> frozenset[str]:
    """Return the ids in a body's `delete`; raises Problem when it is no list of text."""
    ids = body.get("delete", [])
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        raise Problem(
            Code.INVALID_REQUEST, "delete: a list of job ids.", members=fault("/delete", "not a list of text")
        )
    return frozenset(ids)


async def interrupt(services: Services, exchange: Exchange) -> None:
    """Stop the caller's running job; another's goes on. An admin stops whatever runs."""
    body = await exchange.json(services.settings.max_body_bytes)
    wanted = body.get("prompt_id")
    jobs = {job.id: job for job in services.tracker.of(visible_owner(exchange.who)) if wanted in {None, job.id}}
    named = [job for job in jobs.values() if wanted is not None or job.state is JobState.RUNNING]
    await end_anothers(services, exchange, named)
    await services.canceller.interrupt(jobs)
    await exchange.send_json({})
