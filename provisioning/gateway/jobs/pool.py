"""The pool of ComfyUI instances that jobs can be sent to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from provisioning.gateway.jobs.circuit_breaker import CircuitBreaker
from provisioning.gateway.jobs.job import AT_COMFYUI, STAGED, Job
from provisioning.gateway.upstream.client import ComfyUIClient


class Pool(Protocol):
    """The ComfyUI instances behind the gateway; selects the one for the next job."""

    def free(self, jobs: Iterable[Job], job: Job) -> ComfyUIClient | None:
        """Return an instance with capacity for `job`, given all unfinished jobs; None when there is none."""


class SinglePool:
    """A pool of one ComfyUI, which holds the running job and at most one more.

    A job that ComfyUI lost once runs alone, so that a job that crashes ComfyUI twice affects no other. When another pod
    may take over, every job runs alone: then at most one job can run on both pods.
    """

    def __init__(self, upstream: ComfyUIClient, breaker: CircuitBreaker, *, alone: bool = False) -> None:
        self._upstream = upstream
        self._breaker = breaker
        self._alone = alone

    def free(self, jobs: Iterable[Job], job: Job) -> ComfyUIClient | None:
        """Return the ComfyUI unless another job is staged, one of the jobs has to run alone, or ComfyUI is broken."""
        there = [other for other in jobs if other.state in AT_COMFYUI]
        staged = any(other.state in STAGED for other in there)
        to_be_alone = bool(there) and (self._alone or job.attempts > 0 or any(other.attempts > 1 for other in there))
        return None if staged or to_be_alone or self._breaker.is_open else self._upstream
