"""Batches and the queue."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.openapi.examples import WORKFLOW
from provisioning.gateway.openapi.models.batches import Batch, BatchPage, Queue, SubmitBatch
from provisioning.gateway.openapi.operation import Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.openapi.parameters import JOB_ID, whole
from provisioning.gateway.openapi.tables.jobs import IDEMPOTENCY_KEY, SUBMITTING
from provisioning.gateway.problems import Code

_URL = "/api/gateway/batches/9c7e2f40-51c3-4f57-8b0e-0a6d6d3b4f11"

_BATCH: dict[str, Any] = {
    "id": _URL.rpartition("/")[2],
    "status": "queued",
    "created_at": "2026-01-01T12:00:00.000+00:00",
    "total": 1,
    "counts": {"queued": 1, "running": 0, "canceling": 0, "succeeded": 0, "failed": 0, "canceled": 0},
    "estimated_seconds": 10,
    "jobs": [
        {"id": JOB_ID, "status": "queued", "queue_position": 1, "error": None, "url": f"/api/v2/jobs/{JOB_ID}"},
    ],
    "urls": {"self": _URL, "cancel": f"{_URL}/cancel"},
}

_QUEUED = {
    "id": JOB_ID,
    "status": "queued",
    "priority": 0,
    "submitted_at": "2026-01-01T12:00:00.000+00:00",
    "started_at": None,
    "queue_position": 1,
    "queue_wait_seconds": 4,
    "estimated_seconds": 12,
    "batch_id": None,
    "url": f"/api/v2/jobs/{JOB_ID}",
}

TABLE = {
    "GET /api/gateway/jobs": Operation(
        Tag.GATEWAY,
        "Look at the queue",
        (Answer("The caller's unfinished jobs; an admin's are everybody's.", Queue,
                {"jobs": [_QUEUED], "queued": 3, "limit": 100}),),
    ),
    "POST /api/gateway/batches": Operation(
        Tag.GATEWAY,
        "Submit a batch",
        (Answer("All jobs are written down; each will end, whatever happens.", Batch, _BATCH, 201),),
        "One request, many jobs: accepted all together or not at all. Each is a job as any other, in the queue and "
        "towards every limit.",
        (IDEMPOTENCY_KEY,),
        Body(SubmitBatch, {"workflow": WORKFLOW, "inputs": [{"3": {"color": 255}}, {"3": {"color": 65280}}]}),
        (*SUBMITTING, Code.WEBHOOK_URL_FORBIDDEN, Code.INVALID_FIELD, Code.IDEMPOTENCY_KEY_REUSE,
         Code.IDEMPOTENCY_CONFLICT),
    ),
    "GET /api/gateway/batches": Operation(
        Tag.GATEWAY,
        "List batches",
        (Answer("A page of the caller's batches.", BatchPage, {"batches": [_BATCH], "next_cursor": None}),),
        "Newest first; an admin sees everybody's.",
        (
            whole("limit", "Batches per page; more than 100 are never given.", 20, least=1),
            Parameter("cursor", "`next_cursor` of the page before.", "4711", schema={"type": "string"}),
        ),
    ),
    "GET /api/gateway/batches/{id}": Operation(
        Tag.GATEWAY, "Show a batch", (Answer("The batch and the state of each of its jobs.", Batch, _BATCH),)
    ),
    "POST /api/gateway/batches/{id}/cancel": Operation(
        Tag.GATEWAY,
        "Cancel a batch",
        (Answer("The batch as it is now.", Batch, _BATCH),),
        "Every job of it that has not ended; those that have stay as they are.",
        problems=(Code.UPSTREAM_ERROR, Code.UPSTREAM_TIMEOUT, Code.UPSTREAM_UNAVAILABLE),
    ),
}  # fmt: skip
