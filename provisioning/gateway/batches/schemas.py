"""Request and response schemas of batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from provisioning.gateway.batches import batch as batches
from provisioning.gateway.batches.batch import BatchStatus
from provisioning.gateway.batches.repository import Member
from provisioning.gateway.core.http.schemas import AnswerBody, IsoTime, iso_time
from provisioning.gateway.jobs.options import JobOptions, Workflow
from provisioning.gateway.jobs.scheduler import Estimate
from provisioning.gateway.jobs.status import JobStatus, status_of


def _changes(given: list[Any]) -> list[Any]:
    """Raise ValueError for the first job with malformed changes; pydantic itself would report each one."""
    for index, changes in enumerate(given):
        if not isinstance(changes, dict) or not all(isinstance(inputs, dict) for inputs in changes.values()):
            raise ValueError(f"[{index}]: an object of node ids, each with an object of inputs")
    return given


_INPUTS = {"type": "object", "additionalProperties": True}
Changes = Annotated[
    list[Any],
    AfterValidator(_changes),
    WithJsonSchema({"type": "array", "items": {"type": "object", "additionalProperties": _INPUTS}}),
]
"""The changed inputs of each job, by node id and input name."""


class SubmitBatch(JobOptions):
    """Many workflows to run: `workflow` with `inputs`, or `workflows`. The options apply to every job."""

    workflow: dict[str, Any] | None = None
    """The common workflow of all jobs, in API form."""
    inputs: Changes | None = None
    """The changes for each job: `{node id: {input: value}}`."""
    workflows: list[Workflow] | None = None
    """Complete workflows, in API form."""


class BatchCounts(AnswerBody):
    """The number of jobs in each state."""

    queued: int
    running: int
    canceling: int
    succeeded: int
    failed: int
    canceled: int


class BatchMember(AnswerBody):
    """One job of a batch."""

    id: str
    status: JobStatus
    queue_position: int | None
    error: str | None
    """The failure code of a job that did not succeed; the job's own document has the message."""
    url: str

    @classmethod
    def of(cls, member: Member, estimate: Estimate | None) -> BatchMember:
        """Return a job of a batch, with an estimate while it is unfinished."""
        return cls(
            id=member.id,
            status=status_of(member.state, cancelling=member.cancel_requested),
            queue_position=estimate.position if estimate else None,
            error=member.error,
            url=f"/api/v2/jobs/{member.id}",
        )


class BatchUrls(AnswerBody):
    """Related URLs, relative to this server."""

    self: str
    cancel: str


class Batch(AnswerBody):
    """Many jobs submitted by one request."""

    id: str
    status: BatchStatus
    """`partial`: all jobs have ended, with different results."""
    created_at: IsoTime
    total: int
    counts: BatchCounts
    estimated_seconds: int | None
    """Estimated seconds until the last job ends, from similar jobs; null once it has."""
    jobs: list[BatchMember]
    """In the order of the request."""
    urls: BatchUrls

    @classmethod
    def of(cls, batch: batches.Batch, members: Sequence[Member], estimates: Mapping[str, Estimate]) -> Batch:
        """Return a batch with the state of each of its jobs."""
        jobs = [BatchMember.of(member, estimates.get(member.id)) for member in members]
        counts = Counter(job.status for job in jobs)
        url = f"/api/gateway/batches/{batch.id}"
        return cls(
            id=batch.id,
            status=batches.status(Counter(member.state for member in members)),
            created_at=iso_time(batch.created_at),
            total=batch.size,
            counts=BatchCounts(**{name: counts[name] for name in BatchCounts.model_fields}),  # type: ignore[index]
            estimated_seconds=max((estimates[job.id].end_seconds for job in jobs if job.id in estimates), default=None),
            jobs=jobs,
            urls=BatchUrls(self=url, cancel=f"{url}/cancel"),
        )


class BatchPage(AnswerBody):
    """Batches, newest first."""

    batches: list[Batch]
    next_cursor: str | None
    """Pass it as `cursor` to get the next page; null on the last page."""
