"""ComfyUI's route for submitting a workflow."""

from __future__ import annotations

from provisioning.gateway.comfyui_api.schemas import ExecInfo, PromptAccepted, QueueInfo, SubmitPrompt
from provisioning.gateway.core.http.operation import Answer, Body, BodySize, Operation, RateClass, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.docs.examples import WORKFLOW
from provisioning.gateway.docs.parameters import JOB_ID
from provisioning.gateway.jobs.job_factory import JobFactory
from provisioning.gateway.jobs.submission import SUBMITTING, JobSubmission
from provisioning.gateway.jobs.tracker import Tracker


class PromptRoutes:
    """Lets callers submit workflows as ComfyUI does."""

    def __init__(self, jobs: JobFactory, submission: JobSubmission, tracker: Tracker) -> None:
        self._jobs = jobs
        self._submission = submission
        self._tracker = tracker

    @Operation(
        method="POST",
        path="/prompt",
        access=Scope.JOBS,
        tag=Tag.NATIVE,
        summary="Submit a workflow",
        text="ComfyUI validates a workflow just before it runs. If ComfyUI refuses it, `execution_error` reports this "
        "on the WebSocket and in the history, with `node_errors`.",
        body=Body(
            SubmitPrompt,
            {"prompt": WORKFLOW, "client_id": "my-bot"},
            invalid=Code.INVALID_REQUEST,
            size=BodySize.WORKFLOW,
        ),
        answers=(
            Answer("The job is in the queue.", PromptAccepted, {"prompt_id": JOB_ID, "number": 1, "node_errors": {}}),
        ),
        problems=(*SUBMITTING, Code.INVALID_PROMPT_ID),
        rate=RateClass.SUBMIT,
        native=True,
    )
    async def submit(self, request: GatewayRequest, body: SubmitPrompt) -> PromptAccepted:
        """Put a workflow in the queue.

        Only the graph, `client_id` and `prompt_id` of the body are used: `number`, `front` and `extra_data` would
        affect other users' jobs.
        """
        job = self._jobs.create(request.who, body.prompt, body.client_id)
        job.id = body.prompt_id or job.id
        request.context.job_id = job.id
        submit = self._submission.submit if body.prompt_id is None else self._submission.submit_once
        submitted = await submit(job)
        return PromptAccepted(prompt_id=submitted.job_id, number=submitted.number, node_errors=submitted.node_errors)

    @Operation(
        method="GET",
        path="/prompt",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="Count unfinished jobs",
        answers=(
            Answer("The number of the caller's unfinished jobs.", QueueInfo, {"exec_info": {"queue_remaining": 1}}),
        ),
        native=True,
    )
    async def count(self, request: GatewayRequest) -> QueueInfo:
        """Return the number of the caller's unfinished jobs."""
        jobs = self._tracker.of_owner(request.who.visible_owner)
        return QueueInfo(exec_info=ExecInfo(queue_remaining=len(jobs)))
