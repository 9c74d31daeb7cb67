"""Batches as requests and answers have them."""

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
    """Refuse the first job whose changes are not inputs by node; pydantic itself would report each one."""
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
"""For each job the inputs that differ, by node id and name."""


class SubmitBatch(JobOptions):
    """Many workflows to run; give `workflow` and `inputs`, or `workflows`. Options hold for each job."""

    workflow: dict[str, Any] | None = None
    """What all jobs have in common, in API form."""
    inputs: Changes | None = None
    """What differs, for each job: `{node id: {input: value}}`."""
    workflows: list[Workflow] | None = None
    """Whole workflows, in API form."""


class BatchCounts(AnswerBody):
    """How many of the jobs are in each state."""

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
    """Why it did not succeed, in a word; the job itself says more."""
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
    """Where to go on; relative to this server."""

    self: str
    cancel: str


class Batch(AnswerBody):
    """Many jobs that one request asked for."""

    id: str
    status: BatchStatus
    """`partial`: all have ended, and not all alike."""
    created_at: IsoTime
    total: int
    counts: BatchCounts
    estimated_seconds: int | None
    """Until the last has ended, by what such jobs took; null then."""
    jobs: list[BatchMember]
    """In the order in which they were asked for."""
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
    """Give it as `cursor` for the page after this; null on the last."""
