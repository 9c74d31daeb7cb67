"""The gateway's WebSocket to ComfyUI, whose messages go to the clients that may receive them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from provisioning.gateway.core.problems import Problem
from provisioning.gateway.events.progress_observer import ProgressObserver
from provisioning.gateway.events.socket_hub import Hub, Listener
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.observers import JobObserver
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.upstream import messages
from provisioning.gateway.upstream.client import ComfyUIClient
from provisioning.gateway.upstream.guard import guarded

LONGEST_PAUSE = 5.0
"""Longest time in seconds between attempts to connect; the first retry is after 0.1 s."""


class ComfyUIListener(JobObserver):
    """Receives ComfyUI's messages and sends each listener those about its own jobs."""

    def __init__(
        self,
        upstream: ComfyUIClient,
        tracker: Tracker,
        hub: Hub,
        observer: ProgressObserver,
        *,
        connected: Callable[[], None],
    ) -> None:
        self.connected = False
        self._observer = observer
        self._on_connected = connected
        self._upstream = upstream
        self._tracker = tracker
        self._hub = hub

    async def listen(self, client_id: str) -> None:
        """Stay connected until cancelled; `client_id` is the id with which the gateway submits jobs."""
        pause = 0.1
        while True:
            with contextlib.suppress(Problem):
                async with self._upstream.messages(client_id) as messages:
                    self.connected, pause = True, 0.1
                    self._on_connected()
                    async for message in messages:
                        await guarded(self._handle(message))
            self.connected = False
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def send_status(self) -> None:
        """Send every listener the length of its queue."""
        for listener in self._hub:
            listener.put(messages.status_event(self.queue_length(listener)))

    def queue_length(self, listener: Listener) -> int:
        """Return the number of unfinished jobs that the listener may see."""
        return len(self._tracker.of_owner(None if listener.actor.sees_all else listener.actor.owner))

    async def _handle(self, message: str | bytes) -> None:
        await (self._handle_bytes(message) if isinstance(message, bytes) else self._handle_text(message))

    async def _handle_text(self, message: str) -> None:
        name, data = messages.read_event(message)
        if name == "status":
            self.send_status()
        job = self._tracker.find_recent(str(data.get("prompt_id"))) if name in messages.JOB_EVENTS else None
        if job is None:
            return
        if name == "execution_start":
            await self._tracker.started(job, int(data.get("timestamp") or 0) or job.submitted_at)
        if name == "executing" and data.get("node") is None:
            # The job has ended. It is stored before job_ended sends the message, so that clients find the result.
            # Large outputs are stored in the background, so that other jobs' messages do not wait for the volume.
            await self._tracker.refresh(job)
            return
        job.progress.advance(name, data)
        if name == "executed":
            self._tracker.add_outputs(job, str(data.get("node")), data.get("output"))
        self._observer.progressed(job)
        self._send(job, messages.event(name, self._tracker.namespace(job).clean(data)))

    async def _handle_bytes(self, message: bytes) -> None:
        kind = messages.kind(message)
        if kind == messages.PREVIEW_WITH_METADATA and (preview := messages.read_preview(message)):
            self._show(message, preview)
        elif kind in {messages.PREVIEW, messages.TEXT} and (running := self._tracker.running()):
            # These messages have no job id: they belong to the running job.
            root = self._tracker.namespace(running).root.encode()
            self._send(running, message.replace(root + b"/", b"") if root and kind == messages.TEXT else message)

    def _show(self, message: bytes, preview: messages.Preview) -> None:
        job = self._tracker.find_recent(preview.job_id)
        if job is None:
            return
        self._observer.previewed(job, preview)
        # Built once, so that slow readers share one copy.
        plain = preview.plain()
        for listener in self._hub.listeners_of(job):
            listener.put(message if listener.previews_with_metadata else plain, preview=not preview.is_result)

    def _send(self, job: Job, message: str | bytes) -> None:
        preview = isinstance(message, bytes) and messages.is_preview(message)
        for listener in self._hub.listeners_of(job):
            listener.put(message, preview=preview)

    def job_ended(self, job: Job) -> None:
        """Send the job's last messages to the listeners that may receive them."""
        if job.failure is not None:
            self._send(job, messages.event("execution_error", job.failure))
        self._send(job, messages.event("executing", {"node": None, "prompt_id": job.id}))
        self.send_status()
