"""The interface of components that react to changes of jobs."""

from __future__ import annotations

from typing import Protocol

from provisioning.gateway.jobs.job import Job


class JobObserver(Protocol):
    """Receives the tracker's notifications, in any order among observers; both methods are optional."""

    def job_changed(self, job: Job) -> None:
        """React to a job that was queued, started, ended, requeued or is being cancelled."""
        del job

    def job_ended(self, job: Job) -> None:
        """React to a recorded end that was not the answer to the job's submission."""
        del job
