"""The operations of the Comfy API v2 on jobs."""

from __future__ import annotations

import asyncio

import orjson

from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.comfy_v2.job_queries import JobFilter, JobQuery
from provisioning.gateway.comfy_v2.submission import JobSubmitter
from provisioning.gateway.core.http import idempotency
from provisioning.gateway.core.http.base_url import base_url
from provisioning.gateway.core.http.operation import (
    UPSTREAM,
    Answer,
    Body,
    BodySize,
    Operation,
    Parameter,
    RateClass,
    Tag,
)
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.docs.examples import JOB, WORKFLOW
from provisioning.gateway.jobs.canceller import Canceller
from provisioning.gateway.jobs.job_documents import JobDocuments
from provisioning.gateway.jobs.job_schemas import Job, JobPage, JobWorkflow, SubmitJob
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.repository import JobRecord
from provisioning.gateway.jobs.submission import SUBMITTING
from provisioning.gateway.jobs.tracker import Tracker


class JobRoutes:
    """Lets callers submit, show, list and cancel jobs with the Comfy API v2."""

    def __init__(
        self,
        submitter: JobSubmitter,
        documents: JobDocuments,
        ledger: Ledger,
        tracker: Tracker,
        canceller: Canceller,
        audit: AuditTrail,
        max_scanned: int,
    ) -> None:
        """`max_scanned`: how many jobs are read for one page of a list."""
        self._submitter = submitter
        self._documents = documents
        self._ledger = ledger
        self._tracker = tracker
        self._canceller = canceller
        self._audit = audit
        self._max_scanned = max_scanned

    @Operation(
        method="POST",
        path="/api/v2/jobs",
        access=Scope.JOBS,
        tag=Tag.JOBS,
        summary="Submit a workflow",
        text="The job is validated and queued; follow `urls.events` or poll `urls.self` until `completed_at` is set.",
        parameters=(idempotency.IDEMPOTENCY_KEY,),
        body=Body(SubmitJob, {"workflow": WORKFLOW}, invalid=Code.INVALID_FIELD, size=BodySize.WORKFLOW),
        answers=(
            Answer("The job is stored and will reach a final state, even if the gateway restarts.", Job, JOB, 201),
        ),
        problems=(*SUBMITTING, Code.WEBHOOK_URL_FORBIDDEN, Code.INVALID_FIELD, *idempotency.PROBLEMS),
        rate=RateClass.SUBMIT,
    )
    async def submit(self, request: GatewayRequest, body: SubmitJob) -> Job:
        """Submit a workflow; repeating a request with the same Idempotency-Key returns the same job."""
        key = idempotency.idempotency_key(request)
        job = await self._submitter.create(request.who, body)
        job.idempotency_key, job.request_hash = key, idempotency.request_hash(await request.json())
        if (known := await self._submitter.find_replayed(job)) is not None:
            idempotency.mark_replayed(request)
            return await self._show(request, known.id)
        request.context.job_id = job.id
        await self._submitter.submit(job)
        return await self._show(request, job.id)

    @Operation(
        method="GET",
        path="/api/v2/jobs",
        access=Scope.READ,
        tag=Tag.JOBS,
        summary="List jobs",
        text="Newest first; an admin sees the jobs of all users.",
        query=JobQuery,
        parameters=(Parameter("metadata[name]", "Jobs whose label `name` has this value.", "7"),),
        answers=(
            Answer("A page of the caller's jobs.", JobPage, {"jobs": [JOB], "next_cursor": None, "truncated": False}),
        ),
        problems=UPSTREAM,
    )
    async def list(self, request: GatewayRequest, query: JobQuery) -> JobPage:
        """List the caller's jobs, newest first."""
        wanted, limit, before = JobFilter.of(query.status, request.query), query.limit, query.cursor or 2**53
        found: list[JobRecord] = []
        scanned, more = 0, True
        while more and len(found) < limit and scanned < self._max_scanned:
            count = limit - len(found)
            rows = await self._ledger.rows(request.who.visible_owner, before=before, limit=count, states=wanted.states)
            found += [row for row in rows if wanted.matches(row)]
            scanned, more = scanned + len(rows), len(rows) == count
            before = rows[-1].sequence if rows else before
        return JobPage(
            jobs=[*await self._documents.list(found, base_url(request))],
            next_cursor=str(before) if more else None,
            truncated=more and len(found) < limit,
        )

    @Operation(
        method="GET",
        path="/api/v2/jobs/{id}",
        access=Scope.READ,
        tag=Tag.JOBS,
        summary="Show a job",
        answers=(Answer("The job's current state.", Job, JOB),),
        problems=UPSTREAM,
    )
    async def show(self, request: GatewayRequest) -> Job:
        """Show a job."""
        return await self._show(request, request.path_params["id"])

    @Operation(
        method="GET",
        path="/api/v2/jobs/{id}/workflow",
        access=Scope.READ,
        tag=Tag.JOBS,
        summary="Show a job's workflow",
        answers=(Answer("The workflow as submitted.", JobWorkflow, {"workflow": WORKFLOW, "format": "api"}),),
        problems=UPSTREAM,
    )
    async def show_workflow(self, request: GatewayRequest) -> JobWorkflow:
        """Show the workflow of a job as submitted."""
        row = await self._find(request)
        if not row.workflow:
            raise Problem(Code.NOT_FOUND)
        return JobWorkflow(workflow=orjson.loads(row.workflow), format="api")

    @Operation(
        method="POST",
        path="/api/v2/jobs/{id}/cancel",
        access=Scope.JOBS,
        tag=Tag.JOBS,
        summary="Cancel a job",
        text="Works in every state; has no effect on a job that has ended.",
        answers=(Answer("The job; a running one is `canceling` until ComfyUI has stopped it.", Job, JOB),),
        problems=UPSTREAM,
    )
    async def cancel(self, request: GatewayRequest) -> Job:
        """Cancel a waiting or running job; has no effect on one that has ended."""
        row = await self._find(request)
        live = self._tracker.get(row.id)
        if live is not None:
            await self._audit.end_anothers(request, [live])
            await asyncio.shield(self._canceller.cancel(live))
        return await self._show(request, row.id)

    async def _find(self, request: GatewayRequest) -> JobRecord:
        return await self._documents.lookup.find(request.who, request.path_params["id"])

    async def _show(self, request: GatewayRequest, job_id: str) -> Job:
        return await self._documents.show(request.who, job_id, base_url(request))
