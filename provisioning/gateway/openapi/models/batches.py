"""Batches, and the queue as its users may know it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from provisioning.gateway.openapi.models.base import Answered, Sent
from provisioning.gateway.openapi.models.comfy_api import JobStatus


class SubmitBatch(Sent):
    """Many workflows to run; give `workflow` and `inputs`, or `workflows`."""

    workflow: dict[str, Any] | None = Field(default=None, description="What all jobs have in common, in API form.")
    inputs: list[dict[str, dict[str, Any]]] | None = Field(
        default=None, description="What differs, for each job: `{node id: {input: value}}`."
    )
    workflows: list[dict[str, Any]] | None = Field(default=None, description="Whole workflows, in API form.")
    priority: int | None = Field(default=None, ge=-1_000_000, le=1_000_000, description="As for a single job.")
    timeout_seconds: float | None = Field(default=None, ge=1, description="As for a single job, for each of them.")
    webhook_url: str | None = Field(
        default=None,
        description="Told once, when every job of the batch has ended; signed with the secret of the webhook `jobs`.",
    )


class BatchCounts(Answered):
    """How many of the jobs are in each state."""

    queued: int
    running: int
    canceling: int
    succeeded: int
    failed: int
    canceled: int


class BatchMember(Answered):
    """One job of a batch."""

    id: str
    status: JobStatus
    queue_position: int | None
    error: str | None = Field(description="Why it did not succeed, in a word; the job itself says more.")
    url: str


class BatchUrls(Answered):
    """Where to go on; relative to this server."""

    self: str
    cancel: str


class Batch(Answered):
    """Many jobs that one request asked for."""

    id: str
    status: Literal["queued", "running", "succeeded", "failed", "canceled", "partial"] = Field(
        description="`partial`: all have ended, and not all alike."
    )
    created_at: AwareDatetime
    total: int
    counts: BatchCounts
    estimated_seconds: int | None = Field(description="Until the last has ended, by what such jobs took; null then.")
    jobs: list[BatchMember] = Field(description="In the order in which they were asked for.")
    urls: BatchUrls


class BatchPage(Answered):
    """Batches, newest first."""

    batches: list[Batch]
    next_cursor: str | None = Field(description="Give it as `cursor` for the page after this; null on the last.")


class QueuedJob(Answered):
    """An unfinished job and when its turn comes."""

    id: str
    status: JobStatus
    priority: int
    submitted_at: AwareDatetime
    started_at: AwareDatetime | None
    queue_position: int | None = Field(description="1 is next; null for the one that runs.")
    queue_wait_seconds: int | None = Field(description="Expected until its start; null for the one that runs.")
    estimated_seconds: int | None = Field(description="Expected until its end, by what jobs like those before it took.")
    batch_id: str | None
    url: str


class Queue(Answered):
    """The caller's unfinished jobs, the next one first."""

    jobs: list[QueuedJob]
    queued: int = Field(description="Unfinished jobs of everybody.")
    limit: int = Field(description="How many the caller may have.")
