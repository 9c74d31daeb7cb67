"""Answers of ComfyUI's newer routes for jobs."""

from __future__ import annotations

from typing import Any, Literal

from provisioning.gateway.openapi.models.base import Answered, Sent


class NativeJob(Answered):
    """A job in ComfyUI's newer form; what does not apply is left out."""

    id: str
    status: Literal["pending", "in_progress", "completed", "failed", "cancelled"]
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


class Pagination(Answered):
    """Where in the list a page is."""

    offset: int
    limit: int
    total: int
    has_more: bool


class NativeJobs(Answered):
    """A page of jobs."""

    jobs: list[NativeJob]
    pagination: Pagination


class Cancelled(Answered):
    """Whether anything was ended."""

    cancelled: bool


class SeveralJobs(Sent):
    """Which jobs are to end."""

    job_ids: list[str]
