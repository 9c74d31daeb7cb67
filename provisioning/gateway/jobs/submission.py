"""Putting jobs in the queue."""

from __future__ import annotations

from typing import Any, NamedTuple

from provisioning.gateway.core.http.operation import UPSTREAM
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.dispatch import Dispatch
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.tracker import Tracker

SUBMITTING = (
    Code.WORKFLOW_FORMAT_UI,
    Code.INVALID_WORKFLOW,
    Code.NODE_NOT_ALLOWED,
    Code.WORKFLOW_TOO_LARGE,
    Code.MISSING_ASSET,
    Code.QUEUE_FULL,
    Code.QUOTA_EXCEEDED,
    Code.QUOTA_EXHAUSTED,
    Code.GPU_FAULT,
    Code.UPSTREAM_STUCK,
    Code.DRAINING,
    Code.STORAGE_FULL,
    *UPSTREAM,
)
"""Problems of an operation that takes a workflow."""


class Submitted(NamedTuple):
    """A job that is in the queue, or has been."""

    job_id: str
    number: int | float
    """ComfyUI's number of the job; its position in the queue while it waits for its turn."""
    node_errors: dict[str, Any]
    """ComfyUI's findings on nodes that it left out."""


class JobSubmission:
    """Puts jobs in the queue; every method raises Problem when the job is refused."""

    def __init__(self, dispatch: Dispatch, scheduler: Scheduler, tracker: Tracker, ledger: Ledger) -> None:
        self._dispatch = dispatch
        self._scheduler = scheduler
        self._tracker = tracker
        self._ledger = ledger

    async def submit(self, job: Job) -> Submitted:
        """Put a job in the queue.

        ComfyUI checks a workflow only when it is handed over: a job that waits and is then refused ends with an error
        that events and the history tell.
        """
        await self._dispatch.rewrite(job)
        await self._scheduler.submit(job)
        number, errors = job.answer.get("number"), job.answer.get("node_errors")
        return Submitted(
            job.id,
            number if isinstance(number, int | float) else self._scheduler.position(job.id) or 0,
            errors if isinstance(errors, dict) else {},
        )

    async def submit_once(self, job: Job) -> Submitted:
        """Put a job with an id of the caller's in the queue, unless it is there or has been.

        The same workflow again under one id is the same job; Problem INVALID_PROMPT_ID when another job has the id.
        """
        if (known := await self._submitted_before(job)) is not None:
            return known
        try:
            return await self.submit(job)
        except Problem as problem:
            if problem.code is Code.INVALID_PROMPT_ID and (known := await self._submitted_before(job)) is not None:
                return known
            if self._tracker.get(job.id) is None:
                # It was refused and never ran, and its caller hears of it now: the id is free again, as in ComfyUI.
                await self._ledger.forget_refused(job)
            raise

    async def _submitted_before(self, job: Job) -> Submitted | None:
        """Return the job that the same caller submitted under the same id; None when nobody did."""
        live = self._tracker.get(job.id)
        if live is not None:
            # It is being written down or handed over: what comes of that is known in a moment.
            await live.at_rest.wait()
        row = await self._ledger.row(job.id, None)
        if row is None and live is None:
            return None
        if row is None or (row.owner, row.workflow) != (job.owner, job.workflow):
            raise job_id_refused("prompt_id is taken")
        if live is not None and live.refusal is not None:
            raise live.refusal
        return Submitted(job.id, self._scheduler.position(job.id) or 0, {})


def job_id_refused(message: str) -> Problem:
    """Return the refusal of an id that a caller gave its job, in ComfyUI's form."""
    error = {"type": "invalid_prompt_id", "message": message, "details": "", "extra_info": {}}
    members = {"error": error | {"code": Code.INVALID_PROMPT_ID.value}, "node_errors": {}}
    return Problem(Code.INVALID_PROMPT_ID, f"{message}.", members=members)
