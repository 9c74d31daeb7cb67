"""The circuit breaker before ComfyUI: a broken ComfyUI gets no more jobs until it has been restarted.

After a CUDA fault a process cannot use its GPU again, and a node that ignores interrupts blocks the only worker
forever. The broken process has been replaced once ComfyUI's history, or its queue, no longer contains the job that
broke it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Code
from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.upstream import queries as upstream_queries
from provisioning.gateway.upstream.client import ComfyUIClient

AGAIN_SECONDS = 60.0
"""The time after which a restart that did not happen is requested again."""

_log = logging.getLogger(__name__)


class CircuitBreaker:
    """Closed while ComfyUI works; open, so that jobs wait, with a reason: GPU_FAULT or UPSTREAM_STUCK."""

    def __init__(self, upstream: ComfyUIClient, clock: Clock, ask_restart: Callable[[str], None]) -> None:
        self.reason: Code | None = None
        self._job_id = ""
        self._upstream = upstream
        self._clock = clock
        self._ask_restart = ask_restart
        self._asked_at = float("-inf")

    @property
    def is_open(self) -> bool:
        """Return whether jobs have to wait."""
        return self.reason is not None

    def was_opened_by(self, job_id: str) -> bool:
        """Return whether the breaker is closed or was opened by this job, so that a GPU fault is the job's own."""
        return not self.is_open or self._job_id == job_id

    def open(self, job_id: str, reason: Code) -> None:
        """Open the breaker because this job broke ComfyUI; the first such job is recorded."""
        if not self.is_open:
            self.reason, self._job_id = reason, job_id
            _log.error("ComfyUI is broken and is to be restarted", extra={"code": reason.value, "job_id": job_id})

    def restore(self, broken: tuple[str, str] | None) -> None:
        """Open for the last job that broke ComfyUI before this start, if any: that process may still run."""
        if broken is not None:
            job_id, reason = broken
            self.reason = Code.GPU_FAULT if reason == failure_codes.GPU_FAULT else Code.UPSTREAM_STUCK
            self._job_id = job_id

    async def poll(self) -> None:
        """Close when the broken process was replaced, else request its restart; raises Problem when ComfyUI is away."""
        if self.reason is None:
            return
        if await self._is_replaced():
            _log.info("ComfyUI was restarted", extra={"code": self.reason.value, "job_id": self._job_id})
            self.reason, self._asked_at = None, float("-inf")
        elif self._clock.monotonic() - self._asked_at >= AGAIN_SECONDS:
            self._asked_at = self._clock.monotonic()
            self._ask_restart(self.reason.value)

    async def _is_replaced(self) -> bool:
        if self.reason is Code.UPSTREAM_STUCK:
            running = (await upstream_queries.queue(self._upstream))["queue_running"]
            return all(item[1] != self._job_id for item in running)
        return await upstream_queries.history_entry(self._upstream, self._job_id) is None
