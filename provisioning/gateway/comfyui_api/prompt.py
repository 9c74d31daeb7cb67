"""ComfyUI's route for submitting a workflow."""

from __future__ import annotations

import re

from provisioning.gateway.comfyui_api.schemas import ExecInfo, PromptTaken, QueueInfo, SubmitPrompt
from provisioning.gateway.core.http.exchange import Exchange
from provisioning.gateway.core.http.operation import Answer, Body, Operation, RateClass, Tag
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.docs.examples import WORKFLOW
from provisioning.gateway.docs.parameters import JOB_ID
from provisioning.gateway.jobs.job_factory import JobFactory
from provisioning.gateway.jobs.submission import SUBMITTING, JobSubmission, job_id_refused
from provisioning.gateway.jobs.tracker import Tracker

PROMPT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
"""A UUID as Python writes it: the only form of an id that ComfyUI takes."""


class PromptRoutes:
    """Lets callers submit workflows as ComfyUI does."""

    def __init__(self, jobs: JobFactory, submission: JobSubmission, tracker: Tracker, max_body_bytes: int) -> None:
        self._jobs = jobs
        self._submission = submission
        self._tracker = tracker
        self._max_body_bytes = max_body_bytes

    @Operation(
        method="POST",
        path="/prompt",
        access=Scope.JOBS,
        tag=Tag.NATIVE,
        summary="Submit a workflow",
        text="ComfyUI validates a workflow when its turn comes. If it then refuses it, `execution_error` reports that "
        "on the WebSocket and in the history, with `node_errors`.",
        body=Body(SubmitPrompt, {"prompt": WORKFLOW, "client_id": "my-bot"}),
        answers=(
            Answer("The job is in the queue.", PromptTaken, {"prompt_id": JOB_ID, "number": 1, "node_errors": {}}),
        ),
        problems=(*SUBMITTING, Code.INVALID_PROMPT_ID),
        rate=RateClass.SUBMIT,
        native=True,
    )
    async def submit(self, exchange: Exchange) -> PromptTaken:
        """Put a workflow in the queue.

        Only the graph, the client's label and its `prompt_id` are taken from the body: `number`, `front`, `extra_data`
        and the rest would reach into other people's queue.
        """
        body = await exchange.json(self._max_body_bytes)
        prompt_id = _prompt_id(body.get("prompt_id"))
        job = self._jobs.create(exchange.who, body.get("prompt"), body.get("client_id"))
        job.id = prompt_id or job.id
        exchange.job_id = job.id
        submit = self._submission.submit if prompt_id is None else self._submission.submit_once
        submitted = await submit(job)
        return PromptTaken(prompt_id=submitted.job_id, number=submitted.number, node_errors=submitted.node_errors)

    @Operation(
        method="GET",
        path="/prompt",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="Count unfinished jobs",
        answers=(Answer("The caller's.", QueueInfo, {"exec_info": {"queue_remaining": 1}}),),
        native=True,
    )
    async def count(self, exchange: Exchange) -> QueueInfo:
        """Return how many of the caller's jobs are unfinished."""
        jobs = self._tracker.of_owner(exchange.who.visible_owner)
        return QueueInfo(exec_info=ExecInfo(queue_remaining=len(jobs)))


def _prompt_id(given: object) -> str | None:
    """Return the id that the caller gives its job; raises Problem for what ComfyUI would not take as one."""
    if given is None:
        return None
    if not isinstance(given, str) or not PROMPT_ID.fullmatch(given):
        raise job_id_refused("prompt_id must be a UUID in its lower-case form")
    return given
