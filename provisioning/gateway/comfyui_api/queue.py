"""ComfyUI's routes for its queue."""

from __future__ import annotations

from starlette.responses import Response

from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.comfyui_api.schemas import Interrupt, Nothing, Queue, Selection
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
    """Lets callers see the queue, take jobs out of it and stop the one that runs."""

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
        text="A job is in it from its submission to its end; `number` is its place among the caller's.",
        answers=(Answer("The caller's part of it.", Queue, {"queue_running": [ENTRY], "queue_pending": []}),),
        native=True,
    )
    async def show(self, request: GatewayRequest) -> Response:
        """Answer with the caller's unfinished jobs.

        All of it from our own record and at one moment: a job that is just handed over is in neither of two lists that
        are asked for one after the other, and clients take a job that is in no list for lost.
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
        summary="Take waiting jobs out of the queue",
        text="Running jobs go on.",
        body=Body(
            Selection, {"delete": [JOB_ID]}, required=False, invalid=Code.INVALID_REQUEST, size=BodySize.WORKFLOW
        ),
        answers=(Answer("Done.", Nothing, {}),),
        problems=UPSTREAM,
        native=True,
    )
    async def change(self, request: GatewayRequest, body: Selection) -> Nothing:
        """Take jobs out of the queue: those named in `delete`, or all with `clear`; only ever the caller's own."""
        jobs = self._tracker.of_owner(request.who.visible_owner)
        chosen = jobs if body.clear else [job for job in jobs if job.id in frozenset(body.delete)]
        await self._audit.end_anothers(request, [job for job in chosen if job.state is not JobState.RUNNING])
        await self._canceller.withdraw(chosen)
        return Nothing()

    @Operation(
        method="POST",
        path="/interrupt",
        access=Scope.JOBS,
        tag=Tag.NATIVE,
        summary="Stop the running job",
        text="The caller's alone; an admin stops whatever runs.",
        body=Body(Interrupt, {"prompt_id": JOB_ID}, required=False, invalid=Code.INVALID_REQUEST),
        answers=(Answer("Done.", Nothing, {}),),
        problems=UPSTREAM,
        native=True,
    )
    async def interrupt(self, request: GatewayRequest, body: Interrupt) -> Nothing:
        """Stop the caller's running job; another's goes on. An admin stops whatever runs."""
        wanted = body.prompt_id
        jobs = {job.id: job for job in self._tracker.of_owner(request.who.visible_owner) if wanted in {None, job.id}}
        named = [job for job in jobs.values() if wanted is not None or job.state is JobState.RUNNING]
        await self._audit.end_anothers(request, named)
        await self._canceller.interrupt(jobs)
        return Nothing()
