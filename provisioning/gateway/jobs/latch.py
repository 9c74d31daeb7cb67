"""A broken ComfyUI gets no more jobs until another process has taken its place; that one is asked for.

After a CUDA fault a process cannot use its GPU again, and a node that will not be interrupted holds the one worker for
ever. Whether the process that broke is gone is told by itself: its history, or its queue, has the job that broke it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from provisioning.gateway.clock import Clock
from provisioning.gateway.comfyui import looks
from provisioning.gateway.comfyui.upstream import Upstream
from provisioning.gateway.jobs import reasons
from provisioning.gateway.problems import Code

AGAIN_SECONDS = 60.0
"""After this long a restart that did not come is asked for again."""

_log = logging.getLogger(__name__)


class Latch:
    """Open, or closed for a reason: GPU_FAULT or UPSTREAM_STUCK."""

    def __init__(self, upstream: Upstream, clock: Clock, ask_restart: Callable[[str], None]) -> None:
        self.reason: Code | None = None
        self._job_id = ""
        self._upstream = upstream
        self._clock = clock
        self._ask_restart = ask_restart
        self._asked_at = float("-inf")

    @property
    def closed(self) -> bool:
        """Return whether jobs are held back."""
        return self.reason is not None

    def blames(self, job_id: str) -> bool:
        """Return whether it is open, or was closed because of this job: another one's GPU fault is not its own."""
        return not self.closed or self._job_id == job_id

    def close(self, job_id: str, reason: Code) -> None:
        """Hold jobs back from the ComfyUI that this job broke; the first one that did is remembered."""
        if not self.closed:
            self.reason, self._job_id = reason, job_id
            _log.error("ComfyUI is broken and is to be restarted", extra={"code": reason.value, "job_id": job_id})

    def suspect(self, broken: tuple[str, str] | None) -> None:
        """Take up what a former process left: the last job that broke a ComfyUI, which may be the one that runs."""
        if broken is not None:
            job_id, reason = broken
            self.reason = Code.GPU_FAULT if reason == reasons.GPU_FAULT else Code.UPSTREAM_STUCK
            self._job_id = job_id

    async def look(self) -> None:
        """Open when the broken process is gone, else ask for its restart; raises Problem when it cannot be told."""
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
            running = (await looks.queue(self._upstream))["queue_running"]
            return all(item[1] != self._job_id for item in running)
        return await looks.history_entry(self._upstream, self._job_id) is None
