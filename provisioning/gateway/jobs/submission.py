"""Submission of jobs to the queue."""

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
"""Problems of operations that accept a workflow."""


class Submitted(NamedTuple):
    """A submitted job."""

    job_id: str
    number: int | float
    """ComfyUI's number of the job; the position in the queue while it waits."""
    node_errors: dict[str, Any]
    """ComfyUI's errors about nodes that it skipped."""


class JobSubmission:
    """Submits jobs; every method raises Problem when the job is refused."""

    def __init__(self, dispatch: Dispatch, scheduler: Scheduler, tracker: Tracker, ledger: Ledger) -> None:
        self._dispatch = dispatch
        self._scheduler = scheduler
        self._tracker = tracker
        self._ledger = ledger

    async def submit(self, job: Job) -> Submitted:
        """Submit a job.

        ComfyUI validates a workflow only on dispatch: a job that is refused after waiting ends with an error in events
        and history.
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
        """Submit a job with an id chosen by the caller, unless it was submitted before.

        Repeating the same workflow with the same id returns the same job; raises Problem INVALID_PROMPT_ID when another
        job has the id.
        """
        if (known := await self._submitted_before(job)) is not None:
            return known
        try:
            return await self.submit(job)
        except Problem as problem:
            if problem.code is Code.INVALID_PROMPT_ID and (known := await self._submitted_before(job)) is not None:
                return known
            if self._tracker.get(job.id) is None:
                # The job was refused, never ran, and the caller gets the error: the id is free again, as in ComfyUI.
                await self._ledger.forget_refused(job)
            raise

    async def _submitted_before(self, job: Job) -> Submitted | None:
        """Return the job that the same caller submitted with the same id, or None."""
        live = self._tracker.get(job.id)
        if live is not None:
            # It is being stored or sent: the result is known in a moment.
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
    """Return the problem for an id that a caller chose, in ComfyUI's form."""
    error = {"type": "invalid_prompt_id", "message": message, "details": "", "extra_info": {}}
    members = {"error": error | {"code": Code.INVALID_PROMPT_ID.value}, "node_errors": {}}
    return Problem(Code.INVALID_PROMPT_ID, f"{message}.", members=members)
