"""Cancelling jobs in any state: in the gateway's queue, being dispatched, in ComfyUI's queue, or running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.job import Job, JobState
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.upstream.client import ComfyUIClient, Request


class Canceller:
    """Cancels jobs; every method may raise Problem, after which `enforce` completes the cancellation."""

    def __init__(self, tracker: Tracker, ledger: Ledger, upstream: ComfyUIClient) -> None:
        self._tracker = tracker
        self._ledger = ledger
        self._upstream = upstream

    async def cancel(self, job: Job) -> None:
        """Cancel a waiting or running job; a job that has ended is unchanged."""
        await self.withdraw([job])
        # It may have been running already, or have started meanwhile.
        if self._tracker.get(job.id) is not None:
            await self.interrupt({job.id: job})

    async def cancel_all(self, jobs: Sequence[Job]) -> None:
        """Cancel several jobs; waiting ones first, so that none of them starts meanwhile."""
        await self.withdraw([job for job in jobs if job.state is not JobState.RUNNING])
        await self.interrupt({job.id: job for job in jobs if not job.ended})

    async def withdraw(self, jobs: Sequence[Job]) -> None:
        """Remove waiting jobs from the gateway's queue and ComfyUI's; running jobs continue."""
        held = [job for job in jobs if job.state in {JobState.ACCEPTED, JobState.DISPATCHING}]
        for job in held:
            # Set before the first await: from here on the scheduler skips the job.
            job.cancel_requested = True
        for job in held:
            await self._ledger.cancel_requested(job)
            # A job that is being dispatched will be at ComfyUI or back in the queue in a moment.
            await job.at_rest.wait()
            await self._tracker.settle(job)
        sent = [job for job in jobs if not job.ended]
        if sent:
            await self._unstage(sent)

    async def _unstage(self, jobs: Sequence[Job]) -> None:
        running = {item[1] for item in (await self._tracker.queue())["queue_running"]}
        waiting = [job for job in jobs if job.id not in running]
        for job in waiting:
            job.cancel_requested = True
            await self._ledger.cancel_requested(job)
        if waiting:
            await self._post("/queue", {"delete": [job.id for job in waiting]})
        for job in waiting:
            await self._tracker.settle(job)

    async def interrupt(self, jobs: Mapping[str, Job]) -> None:
        """Stop the jobs among these that are running."""
        for item in (await self._tracker.queue())["queue_running"]:
            job = jobs.get(item[1])
            if job is not None:
                job.cancel_requested = True
                self._tracker.changed(job)
                await self._ledger.cancel_requested(job)
                await self.stop(job)

    async def stop(self, job: Job) -> None:
        """Send ComfyUI an interrupt for a job; the job stops at its next step."""
        # With the id, so that no other job is interrupted when this one has just ended.
        await self._post("/interrupt", {"prompt_id": job.id})

    async def enforce(self) -> None:
        """Complete cancellations that were interrupted in this process or a former one."""
        for job in self._tracker.of_owner(None):
            if job.cancel_requested and not job.posting:
                await self.cancel(job)

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        request = Request("POST", path, headers={"Content-Type": "application/json"}, body=orjson.dumps(body))
        status, _ = await self._upstream.call(request)
        if status != 200:
            raise Problem(Code.UPSTREAM_ERROR)
