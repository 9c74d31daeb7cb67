"""Response schemas of the queue."""

from __future__ import annotations

from provisioning.gateway.core.http.schemas import AnswerBody, IsoTime, iso_time, optional_iso_time
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.scheduler import Estimate
from provisioning.gateway.jobs.status import JobStatus, status_of


class QueuedJob(AnswerBody):
    """An unfinished job with its position and estimates."""

    id: str
    status: JobStatus
    priority: int
    submitted_at: IsoTime
    started_at: IsoTime | None
    queue_position: int | None
    """1 is next; null for a running job."""
    queue_wait_seconds: int | None
    """Estimated seconds until its start; null for a running job."""
    estimated_seconds: int | None
    """Estimated seconds until its end, from the durations of similar jobs."""
    batch_id: str | None
    url: str

    @classmethod
    def of(cls, job: Job, estimate: Estimate) -> QueuedJob:
        """Return a job with its estimate."""
        return cls(
            id=job.id, status=status_of(job.state, cancelling=job.cancel_requested), priority=job.priority,
            submitted_at=iso_time(job.submitted_at), started_at=optional_iso_time(job.started_at),
            queue_position=estimate.position, queue_wait_seconds=estimate.wait_seconds,
            estimated_seconds=estimate.end_seconds, batch_id=job.batch_id, url=f"/api/v2/jobs/{job.id}",
        )  # fmt: skip


class Queue(AnswerBody):
    """The caller's unfinished jobs, the next one first."""

    jobs: list[QueuedJob]
    queued: int
    """Number of unfinished jobs of all users."""
    limit: int | None
    """Most unfinished jobs that the caller may have."""
