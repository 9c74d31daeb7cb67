"""The Comfy API v2's jobs."""

from __future__ import annotations

from provisioning.gateway.openapi.examples import JOB, PROGRESS_EVENTS, WORKFLOW
from provisioning.gateway.openapi.models.comfy_api import Job, JobPage, JobWorkflow, SubmitJob
from provisioning.gateway.openapi.operation import EVENTS, UPSTREAM, Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.openapi.parameters import whole
from provisioning.gateway.openapi.tables.events import LAST_EVENT_ID, STREAMING
from provisioning.gateway.problems import Code

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "1 to 255 visible characters of your own. The same request again under the same key within a day answers with "
    "the same job and the header `Idempotency-Replayed: true`; another request under it is refused.",
    "order-4711",
    "header",
    {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
)

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
"""What a route may answer that takes a workflow."""

TABLE = {
    "POST /api/v2/jobs": Operation(
        Tag.JOBS,
        "Submit a workflow",
        (Answer("The job is written down and will end, whatever happens.", Job, JOB, 201),),
        "The job is checked and queued; follow `urls.events` or ask `urls.self` until `completed_at` is set.",
        (IDEMPOTENCY_KEY,),
        Body(SubmitJob, {"workflow": WORKFLOW}),
        (
            *SUBMITTING,
            Code.WEBHOOK_URL_FORBIDDEN,
            Code.INVALID_FIELD,
            Code.IDEMPOTENCY_KEY_REUSE,
            Code.IDEMPOTENCY_CONFLICT,
        ),
    ),
    "GET /api/v2/jobs": Operation(
        Tag.JOBS,
        "List jobs",
        (Answer("A page of the caller's jobs.", JobPage, {"jobs": [JOB], "next_cursor": None, "truncated": False}),),
        "Newest first; an admin sees everybody's.",
        (
            whole("limit", "Jobs per page.", 50, least=1, most=100),
            Parameter("status", "Some of `queued,running,succeeded,canceling,canceled,failed`.", "queued,running"),
            Parameter("metadata[name]", "Jobs whose label `name` has this value.", "7"),
            Parameter("cursor", "`next_cursor` of the page before.", "4711", schema={"type": "string"}),
        ),
        problems=UPSTREAM,
    ),
    "GET /api/v2/jobs/{id}": Operation(
        Tag.JOBS, "Show a job", (Answer("The job as it is now.", Job, JOB),), problems=UPSTREAM
    ),
    "GET /api/v2/jobs/{id}/workflow": Operation(
        Tag.JOBS,
        "Show a job's workflow",
        (Answer("As it was sent.", JobWorkflow, {"workflow": WORKFLOW, "format": "api"}),),
        problems=UPSTREAM,
    ),
    "POST /api/v2/jobs/{id}/cancel": Operation(
        Tag.JOBS,
        "Cancel a job",
        (Answer("The job as it is now; a running one is `canceling` until ComfyUI has stopped it.", Job, JOB),),
        "Works in every state; a job that has ended stays as it is.",
        problems=UPSTREAM,
    ),
    "GET /api/v2/jobs/{id}/events": Operation(
        Tag.JOBS,
        "Follow a job",
        (
            Answer("Server-sent events until the job's end.", None, PROGRESS_EVENTS, media=EVENTS),
            Answer("The job has ended, and the client has had all of it.", status=204, media=None),
        ),
        "The state on connecting, then `status`, `progress`, `preview` and `output` events as they happen, and a "
        "comment every 15 s to keep proxies from closing the connection. With `Last-Event-ID`, what came behind that "
        "event instead of the state; `reset` says that it is no longer kept, and the state follows. `end` says why the "
        "stream ends before the job does.",
        (LAST_EVENT_ID,),
        problems=(*STREAMING, *UPSTREAM),
    ),
}
