"""ComfyUI's newer routes for jobs, /api/jobs, answered from the gateway's database."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.comfyui_api.job_schemas import (
    STATUSES,
    CancelJobs,
    Cancelled,
    NativeJob,
    NativeJobs,
    NativeJobsQuery,
    details_of,
    summary_of,
)
from provisioning.gateway.core.http.operation import UPSTREAM, Answer, Body, BodySize, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.responses import JsonResponse
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.docs.examples import HISTORY_ENTRY, WORKFLOW
from provisioning.gateway.docs.parameters import JOB_ID
from provisioning.gateway.jobs.canceller import Canceller
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.lookup import JobLookup
from provisioning.gateway.jobs.queries import HISTORY_LIMIT
from provisioning.gateway.jobs.tracker import Tracker

JOB = {
    "id": JOB_ID,
    "status": "completed",
    "priority": 7,
    "create_time": 1764000000000,
    "execution_start_time": 1764000001000,
    "execution_end_time": 1764000009000,
    "outputs_count": 1,
    "previewable_outputs_count": 1,
    "preview_output": HISTORY_ENTRY["outputs"]["9"]["images"][0] | {"nodeId": "9", "mediaType": "images"},
}
PAGES = {"offset": 0, "limit": 1000, "total": 1, "has_more": False}
DETAILS = {
    "outputs": HISTORY_ENTRY["outputs"],
    "execution_status": HISTORY_ENTRY["status"],
    "workflow": {"prompt": WORKFLOW, "extra_data": {}},
}
CANCELLED = (Answer("Whether a job was cancelled.", Cancelled, {"cancelled": True}),)


class NativeJobRoutes:
    """Lets callers list, show and cancel jobs as ComfyUI's frontend does."""

    def __init__(
        self,
        ledger: Ledger,
        tracker: Tracker,
        lookup: JobLookup,
        canceller: Canceller,
        audit: AuditTrail,
    ) -> None:
        self._ledger = ledger
        self._tracker = tracker
        self._lookup = lookup
        self._canceller = canceller
        self._audit = audit

    @Operation(
        method="GET",
        path="/api/jobs",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="List jobs",
        query=NativeJobsQuery,
        answers=(Answer("A page of the caller's newest 1000 jobs.", NativeJobs, {"jobs": [JOB], "pagination": PAGES}),),
    )
    async def list(self, request: GatewayRequest, query: NativeJobsQuery) -> Response:
        """Answer with a page of the caller's newest jobs, filtered and sorted; older jobs are available by id."""
        rows = await self._ledger.recent(request.who.visible_owner, HISTORY_LIMIT)
        wanted = query.statuses
        rows = sorted(
            (row for row in rows if STATUSES[row.state] in wanted),
            key=query.sort_key,
            reverse=query.sort_order == "desc",
        )
        end = query.offset + query.limit
        jobs = [summary_of(row) for row in rows[query.offset : end]]
        pagination = {
            "offset": query.offset, "limit": query.limit, "total": len(rows), "has_more": end < len(rows),
        }  # fmt: skip
        return JsonResponse({"jobs": jobs, "pagination": pagination})

    @Operation(
        method="GET",
        path="/api/jobs/{id}",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="Show a job",
        answers=(Answer("The job with its workflow.", NativeJob, JOB | DETAILS),),
        problems=UPSTREAM,
    )
    async def show(self, request: GatewayRequest) -> Response:
        """Answer with a job, its workflow and its outputs."""
        row = await self._lookup.find(request.who, request.path_params["id"])
        return JsonResponse(summary_of(row) | details_of(row))

    @Operation(
        method="POST",
        path="/api/jobs/cancel",
        access=Scope.JOBS,
        tag=Tag.NATIVE,
        summary="Cancel several jobs",
        body=Body(CancelJobs, {"job_ids": [JOB_ID]}, invalid=Code.INVALID_REQUEST, size=BodySize.WORKFLOW),
        answers=CANCELLED,
        problems=UPSTREAM,
    )
    async def cancel_several(self, request: GatewayRequest, body: CancelJobs) -> Cancelled:
        """Cancel several jobs; refuses the request if one id is malformed."""
        ended = [await self._cancel(request, job_id) for job_id in dict.fromkeys(body.job_ids)]
        return Cancelled(cancelled=any(ended))

    @Operation(
        method="POST",
        path="/api/jobs/{id}/cancel",
        access=Scope.JOBS,
        tag=Tag.NATIVE,
        summary="Cancel a waiting or running job",
        answers=CANCELLED,
        problems=UPSTREAM,
    )
    async def cancel(self, request: GatewayRequest) -> Cancelled:
        """Cancel a waiting or running job; like ComfyUI, answers false for an unknown one."""
        return Cancelled(cancelled=await self._cancel(request, request.path_params["id"]))

    async def _cancel(self, request: GatewayRequest, job_id: str) -> bool:
        live = self._tracker.get(job_id)
        if live is None or request.who.visible_owner not in {None, live.owner}:
            return False
        await self._audit.end_anothers(request, [live])
        # Shielded, so that a disconnect does not interrupt the cancellation.
        await asyncio.shield(self._canceller.cancel(live))
        return True
