"""Handover between two pods on one volume: this gateway hands over on request, and stops when it is superseded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from provisioning.gateway.core.database.log.log import EpochLog
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.job import AT_COMFYUI, Job
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.upstream.client import ComfyUIClient, Request
from provisioning.gateway.upstream.guard import guarded

LOOK_SECONDS = 0.25

_log = logging.getLogger(__name__)


class Handover:
    """Watches the log for other gateways on the volume and reacts to them."""

    def __init__(
        self, log: EpochLog | None, tracker: Tracker, scheduler: Scheduler, ledger: Ledger, upstream: ComfyUIClient,
        bound_seconds: float,
    ) -> None:  # fmt: skip
        self.is_over = False
        """Whether another gateway has taken over, so that this one answers no more requests."""
        self.on_taken_over: Callable[[], None] | None = None
        """Called once another gateway has taken over the log: the process ends and restarts as a standby."""
        self._log = log
        self._tracker = tracker
        self._scheduler = scheduler
        self._ledger = ledger
        self._upstream = upstream
        self._bound_seconds = bound_seconds

    def check(self) -> None:
        """Raise Problem TAKEN_OVER once another gateway has taken over."""
        if self.is_over:
            raise Problem(Code.TAKEN_OVER)

    def note_running_jobs(self) -> None:
        """Record at the shutdown of this gateway whether ComfyUI still runs its jobs."""
        if self._log is not None and not self.is_over:
            self._log.jobs_still_running = bool(self._at_comfyui())

    async def run(self, retire: Callable[[], Awaitable[None]]) -> None:
        """Wait until another gateway takes over, then shut down; `retire` ends the background work."""
        database = self._ledger.database
        while not database.is_superseded and not self._is_asked():
            if self._tracker.in_doubt:
                await guarded(self._settle_doubts())
            await asyncio.sleep(LOOK_SECONDS)
        self._scheduler.draining = True
        if not database.is_superseded:
            _log.warning("another pod requests a handover: no more jobs are dispatched")
            await self._let_jobs_end()
        try:
            await self._end(retire)
        finally:
            # Without a log the next start would not wait: it would take over again.
            if self._log is not None and self.on_taken_over is not None:
                self.on_taken_over()

    def _is_asked(self) -> bool:
        """Tick the heartbeat and return whether another pod has requested a handover."""
        heartbeat = self._log.heartbeat if self._log is not None else None
        if heartbeat is not None:
            heartbeat.tick()
        return heartbeat is not None and heartbeat.is_handover_requested

    async def _let_jobs_end(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._bound_seconds):
                while self._at_comfyui() and not self._ledger.database.is_superseded:
                    self._is_asked()
                    await asyncio.sleep(LOOK_SECONDS)

    def _at_comfyui(self) -> list[Job]:
        return [job for job in self._tracker.of_owner(None) if job.state in AT_COMFYUI]

    async def _end(self, retire: Callable[[], Awaitable[None]]) -> None:
        await retire()
        self.is_over = True
        if self._log is not None:
            self._log.refuse()
        if self._at_comfyui():
            # The next gateway runs these jobs.
            await guarded(self._stop_comfyui())
        if self._log is not None:
            await asyncio.to_thread(self._log.finish)
        _log.error("another gateway has taken over; this one answers no more requests")

    async def _stop_comfyui(self) -> None:
        await self._post("/queue", {"clear": True})
        await self._post("/interrupt", {})

    async def _settle_doubts(self) -> None:
        """Reject jobs whose submission was answered with an error although they were stored."""
        self._ledger.database.check()
        while self._tracker.in_doubt:
            job = self._tracker.in_doubt[-1]
            await self._ledger.release_key(job)
            await self._tracker.reject(job, Code.STORE_UNAVAILABLE.value)
            self._tracker.in_doubt.remove(job)
            job.posting = False

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        request = Request("POST", path, headers={"Content-Type": "application/json"}, body=orjson.dumps(body))
        await self._upstream.call(request)
