"""Who is told what ComfyUI says of a job while it runs."""

from __future__ import annotations

from typing import Protocol

from provisioning.gateway.events.messages import Preview
from provisioning.gateway.jobs.job import Job


class Witness(Protocol):
    """Hears of a running job."""

    def progressed(self, job: Job) -> None:
        """Take note that the job got further."""

    def previewed(self, job: Job, preview: Preview) -> None:
        """Take note of a picture of it."""
