"""ComfyUI's newer routes for jobs, /api/jobs."""

from __future__ import annotations

from provisioning.gateway.openapi.examples import HISTORY_ENTRY, WORKFLOW
from provisioning.gateway.openapi.models.newer_jobs import Cancelled, NativeJob, NativeJobs, SeveralJobs
from provisioning.gateway.openapi.operation import UPSTREAM, Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.openapi.parameters import JOB_ID, whole
from provisioning.gateway.problems import Code

_JOB = {
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
_PAGES = {"offset": 0, "limit": 1000, "total": 1, "has_more": False}
_DETAILS = {
    "outputs": HISTORY_ENTRY["outputs"],
    "execution_status": HISTORY_ENTRY["status"],
    "workflow": {"prompt": WORKFLOW, "extra_data": {}},
}
_CANCELLED = (Answer("Whether there was anything to end.", Cancelled, {"cancelled": True}),)

TABLE = {
    "GET /api/jobs": Operation(
        Tag.NATIVE,
        "List jobs",
        (Answer("The caller's newest thousand, in pages.", NativeJobs, {"jobs": [_JOB], "pagination": _PAGES}),),
        parameters=(
            Parameter("status", "Some of `pending,in_progress,completed,failed,cancelled`.", "completed,failed"),
            Parameter("sort_by", "`created_at` or `execution_duration`.", "created_at"),
            Parameter("sort_order", "`desc` or `asc`.", "desc"),
            whole("limit", "Jobs per page.", 20, least=1),
            whole("offset", "Jobs to skip.", 0, least=0),
        ),
        problems=(Code.INVALID_REQUEST,),
    ),
    "GET /api/jobs/{id}": Operation(
        Tag.NATIVE, "Show a job", (Answer("With its workflow.", NativeJob, _JOB | _DETAILS),), problems=UPSTREAM
    ),
    "POST /api/jobs/{id}/cancel": Operation(Tag.NATIVE, "End a job wherever it is", _CANCELLED, problems=UPSTREAM),
    "POST /api/jobs/cancel": Operation(
        Tag.NATIVE,
        "End several jobs",
        _CANCELLED,
        body=Body(SeveralJobs, {"job_ids": [JOB_ID]}),
        problems=(Code.INVALID_REQUEST, *UPSTREAM),
    ),
}
