"""The protocol of observers of ComfyUI's messages about running jobs."""

from __future__ import annotations

from typing import Protocol

from provisioning.gateway.jobs.job import Job
from provisioning.gateway.upstream.messages import Preview


class ProgressObserver(Protocol):
    """Is notified about a running job."""

    def progressed(self, job: Job) -> None:
        """Handle a change of the job's progress."""

    def previewed(self, job: Job, preview: Preview) -> None:
        """Handle a preview image of the job."""
