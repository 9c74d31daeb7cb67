"""ComfyUI's routes for finished jobs.

They are answered from the gateway's database: ComfyUI loses its history at a restart, and does not separate users.
"""

from __future__ import annotations

from starlette.responses import Response

from provisioning.gateway.admin.audit import AuditAction
from provisioning.gateway.admin.audit_context import MAX_NAMED, AuditTrail
from provisioning.gateway.comfyui_api.schemas import (
    DEFAULT_ITEMS,
    FROM_START,
    Deletion,
    EmptyAnswer,
    History,
    HistoryQuery,
)
from provisioning.gateway.core.http.operation import UPSTREAM, Answer, Body, BodySize, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.responses import JsonResponse
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.docs.examples import HISTORY_ENTRY
from provisioning.gateway.docs.parameters import JOB_ID
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.queries import HISTORY_LIMIT
from provisioning.gateway.jobs.tracker import Tracker


class HistoryRoutes:
    """Lets callers list finished jobs and remove them from the history."""

    def __init__(self, ledger: Ledger, tracker: Tracker, audit: AuditTrail) -> None:
        self._ledger = ledger
        self._tracker = tracker
        self._audit = audit

    @Operation(
        method="GET",
        path="/history",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="List finished jobs",
        query=HistoryQuery,
        answers=(Answer("Finished jobs by id, oldest first.", History, {JOB_ID: HISTORY_ENTRY}),),
        native=True,
    )
    async def list(self, request: GatewayRequest, query: HistoryQuery) -> Response:
        """Answer with the caller's newest finished jobs."""
        limit = DEFAULT_ITEMS if query.max_items == FROM_START else min(query.max_items, HISTORY_LIMIT)
        offset = min(max(query.offset, 0), 1_000_000)
        return JsonResponse(await self._ledger.history(request.who.visible_owner, limit=limit, offset=offset))

    @Operation(
        method="POST",
        path="/history",
        access=Scope.JOBS,
        tag=Tag.NATIVE,
        summary="Remove finished jobs from the history",
        text="Their usage still counts.",
        body=Body(Deletion, {"delete": [JOB_ID]}, required=False, invalid=Code.INVALID_REQUEST, size=BodySize.WORKFLOW),
        answers=(Answer("Done.", EmptyAnswer, {}),),
        native=True,
    )
    async def change(self, request: GatewayRequest, body: Deletion) -> EmptyAnswer:
        """Remove finished jobs from the history: those in `delete`, or all with `clear`; only the caller's own."""
        chosen = None if body.clear else frozenset(body.delete)
        owner = request.who.visible_owner
        if owner is None and (chosen is None or chosen):
            ids = {} if chosen is None else {"jobs": sorted(chosen)[:MAX_NAMED]}
            await self._audit.note(
                request, AuditAction.HISTORY_CLEARED, "everybody" if chosen is None else "jobs", **ids
            )
        await self._ledger.hide(owner, chosen)
        return EmptyAnswer()

    @Operation(
        method="GET",
        path="/history/{id}",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="Show a finished job",
        answers=(
            Answer("The job by its id; `{}` if it has not ended or is not yours.", History, {JOB_ID: HISTORY_ENTRY}),
        ),
        problems=UPSTREAM,
        native=True,
    )
    async def show(self, request: GatewayRequest) -> Response:
        """Answer with a finished job, or like ComfyUI with {} for one that is unfinished or not the caller's."""
        job_id, owner = request.path_params["id"], request.who.visible_owner
        job = self._tracker.get(job_id)
        if job is not None and owner in {None, job.owner}:
            await self._tracker.refresh(job)
        entry = await self._ledger.history_of(job_id, owner)
        return JsonResponse({} if entry is None else {job_id: entry})
