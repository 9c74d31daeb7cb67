"""Two pods on one volume: this gateway hands its jobs over when the next one asks, and stops when it is overtaken."""

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
    """Looks at the log for other gateways on the volume, and acts on what it finds."""

    def __init__(
        self, log: EpochLog | None, tracker: Tracker, scheduler: Scheduler, ledger: Ledger, upstream: ComfyUIClient,
        bound_seconds: float,
    ) -> None:  # fmt: skip
        self.is_over = False
        """Whether another gateway has taken over, so that nothing is answered here any more."""
        self.on_taken_over: Callable[[], None] | None = None
        """Called once another gateway has taken over the log: the process ends, and its next start stands by."""
        self._log = log
        self._tracker = tracker
        self._scheduler = scheduler
        self._ledger = ledger
        self._upstream = upstream
        self._bound_seconds = bound_seconds

    def check(self) -> None:
        """Refuse everything once another gateway has taken over; raises Problem TAKEN_OVER."""
        if self.is_over:
            raise Problem(Code.TAKEN_OVER)

    def note_running_jobs(self) -> None:
        """Take note, when this gateway is told to end, whether ComfyUI still works on its jobs."""
        if self._log is not None and not self.is_over:
            self._log.jobs_still_running = bool(self._at_comfyui())

    async def run(self, retire: Callable[[], Awaitable[None]]) -> None:
        """Look until another gateway has taken over, then end; `retire` ends the work in the background."""
        database = self._ledger.database
        while not database.is_superseded and not self._is_asked():
            if self._tracker.in_doubt:
                await guarded(self._settle_doubts())
            await asyncio.sleep(LOOK_SECONDS)
        self._scheduler.draining = True
        if not database.is_superseded:
            _log.warning("another pod asks to take over: no job is handed to ComfyUI any more")
            await self._let_jobs_end()
        try:
            await self._end(retire)
        finally:
            # Without a log nothing makes the next start wait: it would take over in its turn.
            if self._log is not None and self.on_taken_over is not None:
                self.on_taken_over()

    def _is_asked(self) -> bool:
        """Say whether another pod waits, and that this gateway's event loop goes on."""
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
            # The next gateway runs them, or has begun to.
            await guarded(self._stop_comfyui())
        if self._log is not None:
            await asyncio.to_thread(self._log.finish)
        _log.error("another gateway has taken over; this one answers nothing any more")

    async def _stop_comfyui(self) -> None:
        await self._post("/queue", {"clear": True})
        await self._post("/interrupt", {})

    async def _settle_doubts(self) -> None:
        """End jobs whose submission was answered with an error though they were written down."""
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
