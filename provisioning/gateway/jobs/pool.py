"""Where jobs can be handed to: the ComfyUIs, and whether one of them has a place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from provisioning.gateway.comfyui.upstream import Upstream
from provisioning.gateway.jobs.job import STAGED, Job
from provisioning.gateway.jobs.latch import Latch


class Pool(Protocol):
    """The ComfyUIs behind the gateway; the scheduler asks it where the next job goes."""

    def free(self, jobs: Iterable[Job]) -> Upstream | None:
        """Return a ComfyUI that would take one more job, given all jobs that are not final; None when none would."""


class SinglePool:
    """The Pool of one ComfyUI: it holds the job it works on and at most one more."""

    def __init__(self, upstream: Upstream, latch: Latch) -> None:
        self._upstream = upstream
        self._latch = latch

    def free(self, jobs: Iterable[Job]) -> Upstream | None:
        """Return the ComfyUI unless a job is staged at it already, or it is broken."""
        staged = any(job.state in STAGED for job in jobs)
        return None if staged or self._latch.closed else self._upstream
