"""Where jobs can be handed to: the ComfyUIs, and whether one of them has a place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from provisioning.gateway.jobs.circuit_breaker import CircuitBreaker
from provisioning.gateway.jobs.job import AT_COMFYUI, STAGED, Job
from provisioning.gateway.upstream.client import ComfyUIClient


class Pool(Protocol):
    """The ComfyUIs behind the gateway; the scheduler asks it where the next job goes."""

    def free(self, jobs: Iterable[Job], job: Job) -> ComfyUIClient | None:
        """Return a ComfyUI that would take `job`, given all jobs that are not final; None when none would."""


class SinglePool:
    """The Pool of one ComfyUI: it holds the job it works on and at most one more.

    A job that ComfyUI lost once goes alone, so that one that kills ComfyUI twice takes no other with it. Where another
    pod may take over, each goes alone: then no more than one can run on both.
    """

    def __init__(self, upstream: ComfyUIClient, breaker: CircuitBreaker, *, alone: bool = False) -> None:
        self._upstream = upstream
        self._breaker = breaker
        self._alone = alone

    def free(self, jobs: Iterable[Job], job: Job) -> ComfyUIClient | None:
        """Return the ComfyUI unless another job is staged at it, one of the two has to be alone, or it is broken."""
        there = [other for other in jobs if other.state in AT_COMFYUI]
        staged = any(other.state in STAGED for other in there)
        to_be_alone = bool(there) and (self._alone or job.attempts > 0 or any(other.attempts > 1 for other in there))
        return None if staged or to_be_alone or self._breaker.is_open else self._upstream
