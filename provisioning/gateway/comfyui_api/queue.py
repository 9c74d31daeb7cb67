"""ComfyUI's routes for its queue."""

from __future__ import annotations

from starlette.responses import Response

from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.comfyui_api.schemas import Deletion, EmptyAnswer, Interrupt, NativeQueue
from provisioning.gateway.core.http.operation import UPSTREAM, Answer, Body, BodySize, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.responses import JsonResponse
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.docs.examples import WORKFLOW
from provisioning.gateway.docs.parameters import JOB_ID
from provisioning.gateway.jobs.canceller import Canceller
from provisioning.gateway.jobs.job import JobState
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.tracker import Tracker

ENTRY = [1, JOB_ID, WORKFLOW, {"client_id": "my-bot"}, []]


class QueueRoutes:
    """Lets callers show the queue, remove waiting jobs and interrupt the running one."""

    def __init__(self, scheduler: Scheduler, tracker: Tracker, canceller: Canceller, audit: AuditTrail) -> None:
        self._scheduler = scheduler
        self._tracker = tracker
        self._canceller = canceller
        self._audit = audit

    @Operation(
        method="GET",
        path="/queue",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="Show the queue",
        text="Contains the caller's jobs from submission to end; `number` is a job's position among them.",
        answers=(
            Answer(
                "The caller's running and waiting jobs.", NativeQueue, {"queue_running": [ENTRY], "queue_pending": []}
            ),
        ),
        native=True,
    )
    async def show(self, request: GatewayRequest) -> Response:
        """Answer with the caller's unfinished jobs.

        Both lists come from the gateway's state at one time: a job that is just being submitted to ComfyUI must be in
        one of them, since clients treat a job in neither as lost.
        """
        owner = request.who.visible_owner
        jobs = [job for job in self._scheduler.order() if owner in {None, job.owner}]
        running = len([job for job in jobs if job.state is JobState.RUNNING])
        entries = [[place, job.id, job.graph, {"client_id": job.client_id}, []] for place, job in enumerate(jobs, 1)]
        return JsonResponse({"queue_running": entries[:running], "queue_pending": entries[running:]})

    @Operation(
        method="POST",
        path="/queue",
        access=Scope.JOBS,
        tag=Tag.NATIVE,
        summary="Remove waiting jobs from the queue",
        text="Running jobs are not affected.",
        body=Body(Deletion, {"delete": [JOB_ID]}, required=False, invalid=Code.INVALID_REQUEST, size=BodySize.WORKFLOW),
        answers=(Answer("Done.", EmptyAnswer, {}),),
        problems=UPSTREAM,
        native=True,
    )
    async def change(self, request: GatewayRequest, body: Deletion) -> EmptyAnswer:
        """Remove waiting jobs from the queue: those in `delete`, or all with `clear`; only the caller's own."""
        jobs = self._tracker.of_owner(request.who.visible_owner)
        chosen = jobs if body.clear else [job for job in jobs if job.id in frozenset(body.delete)]
        await self._audit.end_anothers(request, [job for job in chosen if job.state is not JobState.RUNNING])
        await self._canceller.withdraw(chosen)
        return EmptyAnswer()

    @Operation(
        method="POST",
        path="/interrupt",
        access=Scope.JOBS,
        tag=Tag.NATIVE,
        summary="Interrupt the running job",
        text="Interrupts the caller's job only; an admin interrupts any job.",
        body=Body(Interrupt, {"prompt_id": JOB_ID}, required=False, invalid=Code.INVALID_REQUEST),
        answers=(Answer("Done.", EmptyAnswer, {}),),
        problems=UPSTREAM,
        native=True,
    )
    async def interrupt(self, request: GatewayRequest, body: Interrupt) -> EmptyAnswer:
        """Interrupt the caller's running job, or for an admin any running job."""
        wanted = body.prompt_id
        jobs = {job.id: job for job in self._tracker.of_owner(request.who.visible_owner) if wanted in {None, job.id}}
        named = [job for job in jobs.values() if wanted is not None or job.state is JobState.RUNNING]
        await self._audit.end_anothers(request, named)
        await self._canceller.interrupt(jobs)
        return EmptyAnswer()
