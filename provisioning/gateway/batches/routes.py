"""The operations on batches."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from provisioning.gateway.admin.audit import AuditAction
from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.batches import batch as batches
from provisioning.gateway.batches.schemas import Batch, BatchPage, SubmitBatch
from provisioning.gateway.batches.service import BatchService
from provisioning.gateway.batches.workflows import workflows_of
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http import idempotency
from provisioning.gateway.core.http.operation import UPSTREAM, Answer, Body, BodySize, Operation, RateClass, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.schemas import RowQuery
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.docs.examples import WORKFLOW
from provisioning.gateway.jobs.submission import SUBMITTING
from provisioning.gateway.webhooks.service import Webhooks

JOB_ID = "0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10"
URL = "/api/gateway/batches/9c7e2f40-51c3-4f57-8b0e-0a6d6d3b4f11"
BATCH: dict[str, Any] = {
    "id": URL.rpartition("/")[2],
    "status": "queued",
    "created_at": "2026-01-01T12:00:00.000+00:00",
    "total": 1,
    "counts": {"queued": 1, "running": 0, "canceling": 0, "succeeded": 0, "failed": 0, "canceled": 0},
    "estimated_seconds": 10,
    "jobs": [
        {"id": JOB_ID, "status": "queued", "queue_position": 1, "error": None, "url": f"/api/v2/jobs/{JOB_ID}"},
    ],
    "urls": {"self": URL, "cancel": f"{URL}/cancel"},
}


class BatchRoutes:
    """Submits and shows batches."""

    def __init__(
        self,
        service: BatchService,
        webhooks: Webhooks,
        audit: AuditTrail,
        clock: Clock,
        settings: GatewaySettings,
        max_queued: Callable[[Actor], int | None],
    ) -> None:
        """`max_queued` returns how many unfinished jobs a caller may have."""
        self._service = service
        self._webhooks = webhooks
        self._audit = audit
        self._clock = clock
        self._settings = settings
        self._max_queued = max_queued

    @Operation(
        method="POST",
        path="/api/gateway/batches",
        access=Scope.JOBS,
        tag=Tag.GATEWAY,
        summary="Submit a batch",
        text="One request submits many jobs, which are accepted all together or not at all. In the queue and for every "
        "limit, each is a job like any other.",
        parameters=(idempotency.IDEMPOTENCY_KEY,),
        body=Body(
            SubmitBatch,
            {"workflow": WORKFLOW, "inputs": [{"3": {"color": 255}}, {"3": {"color": 65280}}]},
            invalid=Code.INVALID_FIELD,
            size=BodySize.WORKFLOW,
        ),
        answers=(Answer("All jobs are stored; each of them will reach a final state.", Batch, BATCH, 201),),
        problems=(*SUBMITTING, Code.WEBHOOK_URL_FORBIDDEN, Code.INVALID_FIELD, *idempotency.PROBLEMS),
        rate=RateClass.SUBMIT,
    )
    async def submit(self, request: GatewayRequest, body: SubmitBatch) -> Batch:
        """Accept many workflows, all or none; repeating the request with its Idempotency-Key returns the same batch."""
        who = request.who
        workflows = workflows_of(body, self._max_size(who))
        batch = batches.Batch(
            id=str(uuid.uuid4()),
            owner=who.owner,
            key_id=who.key_id,
            created_at=self._clock.now_ms(),
            size=len(workflows),
            idempotency_key=idempotency.idempotency_key(request),
            request_hash=idempotency.request_hash(await request.json()),
            webhook_url=await self._webhooks.check_optional(body.webhook_url),
        )
        if (known := await self._service.find_replayed(batch)) is not None:
            idempotency.mark_replayed(request)
            return await self._service.document(known)
        longest = self._settings.max_job_timeout_seconds
        await self._service.submit(batch, workflows, who, lambda job: body.apply(job, who, longest))
        return await self._service.document(batch)

    def _max_size(self, who: Actor) -> int:
        """Return the maximum size of a batch: no more jobs than may be in the queue at once."""
        return min(self._settings.max_batch, self._max_queued(who) or self._settings.max_queued)

    @Operation(
        method="GET",
        path="/api/gateway/batches",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="List batches",
        text="Newest first; an admin sees the batches of all users.",
        query=RowQuery,
        answers=(Answer("A page of the caller's batches.", BatchPage, {"batches": [BATCH], "next_cursor": None}),),
    )
    async def list(self, request: GatewayRequest, query: RowQuery) -> BatchPage:
        """List the batches that the caller may see, newest first."""
        found = await self._service.store.page(request.who.visible_owner, before=query.before, limit=query.page_size)
        documents = [await self._service.document(batch) for _, batch in found]
        return BatchPage(batches=documents, next_cursor=query.next_cursor([number for number, _ in found]))

    @Operation(
        method="GET",
        path="/api/gateway/batches/{id}",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="Show a batch",
        answers=(Answer("The batch and the state of each of its jobs.", Batch, BATCH),),
    )
    async def show(self, request: GatewayRequest) -> Batch:
        """Show a batch and the state of each of its jobs."""
        return await self._service.document(await self._find(request))

    @Operation(
        method="POST",
        path="/api/gateway/batches/{id}/cancel",
        access=Scope.JOBS,
        tag=Tag.GATEWAY,
        summary="Cancel a batch",
        text="Cancels every unfinished job of the batch; finished ones stay as they are.",
        answers=(Answer("The current state of the batch.", Batch, BATCH),),
        problems=UPSTREAM,
    )
    async def cancel(self, request: GatewayRequest) -> Batch:
        """Cancel every job of a batch that has not ended."""
        batch = await self._find(request)
        await self._audit.on_anothers(request, AuditAction.BATCH_CANCELLED, batch.id, batch.owner)
        await self._service.cancel(batch)
        return await self._service.document(batch)

    async def _find(self, request: GatewayRequest) -> batches.Batch:
        return await self._service.find(request.path_params["id"], request.who.visible_owner)
