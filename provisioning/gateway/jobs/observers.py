"""What other parts of the gateway learn about a job's life."""

from __future__ import annotations

from typing import Protocol

from provisioning.gateway.jobs.job import Job


class JobObserver(Protocol):
    """Is notified by the tracker, which may hold several in any order; a class that inherits need not override both."""

    def job_changed(self, job: Job) -> None:
        """React to a job that has entered the queue, started, ended, come back to the queue or is to be stopped."""
        del job

    def job_ended(self, job: Job) -> None:
        """React to an end that is written down and that was not the answer to the job's own submission."""
        del job
