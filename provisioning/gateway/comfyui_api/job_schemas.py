"""Request and response bodies of ComfyUI's newer job routes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BeforeValidator, FailFast, Field

from provisioning.gateway.comfyui_api.schemas import NativeBody
from provisioning.gateway.core.http.schemas import AnswerBody, Query, WholeNumber
from provisioning.gateway.jobs.job import JobState
from provisioning.gateway.jobs.queries import HISTORY_LIMIT
from provisioning.gateway.jobs.repository import JobRecord

Status = Literal["pending", "in_progress", "completed", "failed", "cancelled"]

STATUSES: Mapping[JobState, Status] = {
    JobState.ACCEPTED: "pending",
    JobState.DISPATCHING: "pending",
    JobState.QUEUED: "pending",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.REJECTED: "failed",
    JobState.CANCELLED: "cancelled",
}
"""ComfyUI's status for each state of a job."""


def _lower(given: object) -> object:
    return given.lower() if isinstance(given, str) else given


def _known_statuses(given: str) -> str:
    known = set(STATUSES.values())
    if not _words(given) <= known:
        raise ValueError(f"must be a list of {', '.join(sorted(known))}")
    return given


def _words(given: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in given.split(",") if word.strip())


class NativeJobsQuery(Query):
    """Which jobs to list, and in which order."""

    status: Annotated[str, AfterValidator(_known_statuses)] = Field(default="", examples=["completed,failed"])
    """Statuses, separated by commas: `pending,in_progress,completed,failed,cancelled`."""
    sort_by: Annotated[Literal["created_at", "execution_duration"], BeforeValidator(_lower)] = Field(
        default="created_at", examples=["created_at"]
    )
    """The field to sort by."""
    sort_order: Annotated[Literal["desc", "asc"], BeforeValidator(_lower)] = Field(default="desc", examples=["desc"])
    """`desc`: newest or longest first; `asc`: oldest or shortest first."""
    limit: WholeNumber = Field(default=HISTORY_LIMIT, ge=1, examples=[20])
    """Jobs per page."""
    offset: WholeNumber = Field(default=0, ge=0, examples=[0])
    """Jobs to skip."""

    @property
    def statuses(self) -> frozenset[str]:
        """Return the statuses to list."""
        return _words(self.status) or frozenset(STATUSES.values())

    def sort_key(self, row: JobRecord) -> int:
        """Return the sort key of a job in milliseconds."""
        if self.sort_by == "created_at":
            return row.submitted_at
        return (row.finished_at or 0) - (row.started_at or 0) if row.finished_at else 0


class NativeJob(AnswerBody):
    """A job in the form of ComfyUI's newer routes; fields that do not apply are left out."""

    id: str
    status: Status
    priority: int
    create_time: int
    execution_start_time: int | None = None
    execution_end_time: int | None = None
    execution_error: dict[str, Any] | None = None
    outputs_count: int
    previewable_outputs_count: int
    preview_output: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    execution_status: dict[str, Any] | None = None
    workflow: dict[str, Any] | None = None


class Pagination(AnswerBody):
    """The position of a page in the list."""

    offset: int
    limit: int
    total: int
    has_more: bool


class NativeJobs(AnswerBody):
    """A page of jobs."""

    jobs: list[NativeJob]
    pagination: Pagination


class Cancelled(AnswerBody):
    """Whether a job was cancelled."""

    cancelled: bool


def _job_id(given: str) -> str:
    if str(uuid.UUID(given)) != given:
        raise ValueError("must be a job id")
    return given


class CancelJobs(NativeBody):
    """Which jobs to cancel."""

    job_ids: Annotated[list[Annotated[str, AfterValidator(_job_id)]], FailFast()]


def summary_of(row: JobRecord) -> dict[str, Any]:
    """Return a job's entry in a list, as a dictionary, since it contains ComfyUI's own JSON."""
    history = _history(row)
    events = dict((history.get("status") or {}).get("messages") or [])
    files = _files(history.get("outputs") or {})
    members = {
        "id": row.id,
        "status": STATUSES[row.state],
        "priority": row.sequence,
        "create_time": row.submitted_at,
        "execution_start_time": row.started_at,
        "execution_end_time": row.finished_at,
        "execution_error": events.get("execution_error"),
        "outputs_count": len(files),
        "previewable_outputs_count": len(files),
        # Saved files take precedence over temporary ones.
        "preview_output": min(files, key=lambda item: item.get("type") != "output", default=None),
    }
    return {name: value for name, value in members.items() if value is not None}


def details_of(row: JobRecord) -> dict[str, Any]:
    """Return a job's workflow and, once it has ended, its outputs."""
    history = _history(row)
    ended = {"outputs": history.get("outputs") or {}, "execution_status": history.get("status")}
    workflow = {"prompt": orjson.loads(row.workflow) if row.workflow else {}, "extra_data": {}}
    return (ended if row.finished_at else {}) | {"workflow": workflow}


def _history(row: JobRecord) -> dict[str, Any]:
    history: dict[str, Any] = orjson.loads(row.history) if row.history else {}
    return history


def _files(outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = ((node, kind, items) for node, output in outputs.items() for kind, items in output.items())
    return [
        item | {"nodeId": node, "mediaType": kind}
        for node, kind, items in lists
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict) and "filename" in item
    ]
