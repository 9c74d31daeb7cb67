"""Ending jobs on request, wherever they are: in our queue, on the way, in ComfyUI's queue, or running."""

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
    """Ends jobs; every method may raise Problem, and what it had begun goes on by itself: see `enforce`."""

    def __init__(self, tracker: Tracker, ledger: Ledger, upstream: ComfyUIClient) -> None:
        self._tracker = tracker
        self._ledger = ledger
        self._upstream = upstream

    async def cancel(self, job: Job) -> None:
        """Have a job end, whether it waits or runs; one that has ended stays as it is."""
        await self.withdraw([job])
        # It may have begun to run meanwhile, or have run all along.
        if self._tracker.get(job.id) is not None:
            await self.interrupt({job.id: job})

    async def cancel_all(self, jobs: Sequence[Job]) -> None:
        """Have several jobs end; those that wait first, so that none of them starts meanwhile."""
        await self.withdraw([job for job in jobs if job.state is not JobState.RUNNING])
        await self.interrupt({job.id: job for job in jobs if not job.ended})

    async def withdraw(self, jobs: Sequence[Job]) -> None:
        """Take jobs that do not run yet out of our queue and ComfyUI's; running ones go on."""
        held = [job for job in jobs if job.state in {JobState.ACCEPTED, JobState.DISPATCHING}]
        for job in held:
            # Marked before anything is awaited: from here on the scheduler passes it by.
            job.cancel_requested = True
        for job in held:
            await self._ledger.cancel_requested(job)
            # What is just being handed over is at ComfyUI, or back in our queue, in a moment.
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
        """Stop whichever of these jobs runs."""
        for item in (await self._tracker.queue())["queue_running"]:
            job = jobs.get(item[1])
            if job is not None:
                job.cancel_requested = True
                self._tracker.changed(job)
                await self._ledger.cancel_requested(job)
                await self.stop(job)

    async def stop(self, job: Job) -> None:
        """Tell ComfyUI to stop a job, without saying why; it goes on until its next step."""
        # With the id, so that ComfyUI stops nothing when the job has just ended by itself.
        await self._post("/interrupt", {"prompt_id": job.id})

    async def enforce(self) -> None:
        """End what is still there though it was to end: this process or a former one was cut short over it."""
        for job in self._tracker.of_owner(None):
            if job.cancel_requested and not job.posting:
                await self.cancel(job)

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        request = Request("POST", path, headers={"Content-Type": "application/json"}, body=orjson.dumps(body))
        status, _ = await self._upstream.call(request)
        if status != 200:
            raise Problem(Code.UPSTREAM_ERROR)
