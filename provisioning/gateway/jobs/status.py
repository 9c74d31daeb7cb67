"""The status of a job in responses and events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from provisioning.gateway.jobs.job import JobState

JobStatus = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled", "expired"]
"""The statuses of the Comfy API v2; `expired`, for jobs that a server has lost, is never used here."""

_STATUSES: Mapping[JobState, JobStatus] = {
    JobState.ACCEPTED: "queued",
    JobState.DISPATCHING: "queued",
    JobState.QUEUED: "queued",
    JobState.RUNNING: "running",
    JobState.COMPLETED: "succeeded",
    JobState.FAILED: "failed",
    JobState.REJECTED: "failed",
    JobState.CANCELLED: "canceled",
}


def status_of(state: JobState, *, cancelling: bool) -> JobStatus:
    """Return the status of a job; a running job that is being cancelled is `canceling`."""
    return "canceling" if cancelling and state is JobState.RUNNING else _STATUSES[state]
