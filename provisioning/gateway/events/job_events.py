"""Publishes the events of jobs to their owners: changes of state, progress and previews."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import orjson

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.events.channels import Channels, Event
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.job_schemas import Progress
from provisioning.gateway.jobs.observers import JobObserver
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.status import status_of
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.upstream.messages import Preview

STATUS, PROGRESS, PREVIEW, OUTPUT = "job_status", "job_progress", "job_preview", "job_output"

STEP_SECONDS = 0.1
"""Shortest time between the progress events of one node: a fast sampler would otherwise fill the channel."""

POSITION_SECONDS = 1.0
NEAR_THE_FRONT = 20
"""How many waiting jobs at the front of the queue get an event when their position changes."""

_IMAGE_TYPES = {1: "image/jpeg", 2: "image/png"}


class JobEvents(JobObserver):
    """Publishes what happens to unfinished jobs."""

    def __init__(self, channels: Channels, tracker: Tracker, scheduler: Scheduler, clock: Clock) -> None:
        self._channels = channels
        self._tracker = tracker
        self._scheduler = scheduler
        self._clock = clock
        self._published: dict[str, bytes] = {}
        self._stepped: dict[str, tuple[tuple[str | None, int | None], float]] = {}
        self.ends: asyncio.Queue[Job] = asyncio.Queue()
        """Jobs whose end is stored and not yet published; see completion_events."""
        self._moved = asyncio.Event()

    def job_changed(self, job: Job) -> None:
        """Publish the state of a job; its end is published by completion_events."""
        self._moved.set()
        if job.ended:
            self._published.pop(job.id, None)
            self._stepped.pop(job.id, None)
            self.ends.put_nowait(job)
        else:
            self._publish_status(job)

    def _publish_status(self, job: Job) -> None:
        data = orjson.dumps(self.status(job))
        if self._published.get(job.id) != data:
            self._published[job.id] = data
            self._channels.publish(job.owner, Event(STATUS, data, job.id))

    def status(self, job: Job) -> dict[str, Any]:
        """Return the status event of an unfinished job."""
        word = status_of(job.state, cancelling=job.cancel_requested)
        return {"job_id": job.id, "status": word, "queue_position": self._scheduler.position(job.id)}

    def progressed(self, job: Job) -> None:
        """Publish the progress of a job, as reported by ComfyUI."""
        position, now = (job.progress.node, job.progress.steps), self._clock.monotonic()
        last_position, last_at = self._stepped.get(job.id, (None, float("-inf")))
        if job.ended or (position == last_position and now - last_at < STEP_SECONDS):
            return
        self._stepped[job.id] = (position, now)
        self._channels.publish(job.owner, Event(PROGRESS, orjson.dumps(progress(job)), job.id))

    def previewed(self, job: Job, preview: Preview) -> None:
        """Publish a preview image of a running job."""
        data = {
            "job_id": job.id,
            "node_id": job.progress.node or "",
            "content_type": _IMAGE_TYPES[preview.image_format],
            "data_base64": base64.b64encode(preview.image).decode(),
        }
        if not job.ended:
            self._channels.publish(job.owner, Event(PREVIEW, orjson.dumps(data), job.id, transient=True))

    async def publish_positions(self) -> None:
        """Publish the positions of jobs near the front of the queue when they change, until cancelled."""
        while True:
            await self._moved.wait()
            await asyncio.sleep(POSITION_SECONDS)
            self._moved.clear()
            for job in self._scheduler.waiting()[:NEAR_THE_FRONT]:
                self._publish_status(job)

    def state(self, job: Job) -> list[Event]:
        """Return the events that describe the current state of an unfinished job."""
        events = [Event(STATUS, orjson.dumps(self.status(job)), job.id)]
        if job.progress.node is not None:
            events.append(Event(PROGRESS, orjson.dumps(progress(job)), job.id))
        return events


def progress(job: Job) -> dict[str, Any]:
    """Return the progress of a running job."""
    document = Progress.of(job).model_dump()
    return {"job_id": job.id, "percent": round(100 * document["value"], 1), **document}
