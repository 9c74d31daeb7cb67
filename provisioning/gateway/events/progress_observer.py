"""Receivers of ComfyUI's messages about a running job."""

from __future__ import annotations

from typing import Protocol

from provisioning.gateway.jobs.job import Job
from provisioning.gateway.upstream.messages import Preview


class ProgressObserver(Protocol):
    """Hears of a running job."""

    def progressed(self, job: Job) -> None:
        """Take note that the job got further."""

    def previewed(self, job: Job, preview: Preview) -> None:
        """Take note of a picture of it."""
