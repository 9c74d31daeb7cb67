"""The gateway as an ASGI app: a function of its inputs, nothing global."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from typing import Any

from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from provisioning.gateway import asgi
from provisioning.gateway.core.http.operation import Handler
from provisioning.gateway.core.http.socket_route import SocketRoute
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.core.time_units import DAY_MS
from provisioning.gateway.events import cost_events, pod_events, setup_events
from provisioning.gateway.keys import seeding
from provisioning.gateway.services import Services

USE_SECONDS = 10.0
"""How often it is written down when keys were last used."""


class Gateway:
    """Answers requests; `start` and `stop` are what a server calls through the lifespan protocol."""

    def __init__(self, services: Services, handlers: Mapping[str, Handler], sockets: Mapping[str, SocketRoute]) -> None:
        """Take the handlers by the key of their operation, and the WebSockets by their path."""
        self.services = services
        self._app = asgi.app(services, handlers, sockets)
        self._lifespan = Router(lifespan=self._started)
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection, request or lifespan."""
        return (self._lifespan if scope["type"] == "lifespan" else self._app)(scope, receive, send)

    async def start(self) -> None:
        """Seed the keys, take up unfinished jobs and connect to ComfyUI, whether it is up yet or not."""
        services = self.services
        await seeding.seed(services.keys, services.settings.seed_keys)
        # The same after a restart, so that running jobs still report.
        client_id = services.dispatch.client_id = await services.ledger.remember("client_id", uuid.uuid4().hex)
        await services.upstream.start()
        await services.tracker.load()
        services.scheduler.breaker.restore(await services.ledger.history_stats.last_broken())
        listener = services.comfyui_listener
        pause = services.settings.poll_seconds
        notifying = (services.job_events.publish_positions(), *self._notifications())
        jobs = (listener.listen(client_id), services.reconciler.run(pause), services.scheduler.run(pause))
        chores = (self._prune(), self._note_uses(), services.accounting.run(), services.open_streams.watch())
        works = (
            *jobs,
            *chores,
            *notifying,
            self._send_webhooks(),
            services.disk_space.run(),
            services.copy_cleanup.run(),
        )
        self._tasks = [asyncio.create_task(work) for work in works]
        self._watching = asyncio.create_task(services.handover.run(self._retire))

    def _notifications(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return the background work that publishes the ends of jobs, the pod's status, costs and setup progress."""
        services, settings = self.services, self.services.settings
        return (
            services.completions.run(),
            pod_events.watch(services.pod_status, services.broadcast),
            cost_events.watch(services.costs, services.channels, services.broadcast, settings.cost_update_seconds),
            setup_events.watch(settings.setup_dir, services.broadcast),
        )

    async def _prune(self) -> None:
        services = self.services
        while True:
            with contextlib.suppress(Problem):
                before = services.clock.now_ms() - services.settings.retention_days * DAY_MS
                # The files first: it is their rows that say where they are.
                await services.expiry.run(before)
                await services.webhooks.prune()
                await services.ledger.prune(before)
            await asyncio.sleep(services.settings.internal.prune_seconds)

    async def _note_uses(self) -> None:
        while True:
            await asyncio.sleep(USE_SECONDS)
            with contextlib.suppress(Problem):
                await self.services.keys.flush()

    async def _send_webhooks(self) -> None:
        await self.services.webhooks.worker.run(self.services.payloads.render)

    def drain(self) -> None:
        """Take no new jobs and end every stream; other answers go on, and jobs go on in ComfyUI."""
        services = self.services
        services.lifecycle.draining = services.scheduler.draining = True
        services.broadcast.publish_pod(services.pod_status.document())
        services.open_streams.end_all()

    async def stop(self) -> None:
        """End the work in the background and write down what is left."""
        self.drain()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._retire()
        self.services.handover.note_running_jobs()
        self.services.passwords.close()
        if self.services.files is not None:
            self.services.files.close()
        await self.services.upstream.close()

    async def _retire(self) -> None:
        """End the work in the background and write down what is left of it."""
        self.services.open_streams.end_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.services.ledger.flush()
        with contextlib.suppress(Problem):
            await self.services.keys.flush()

    @contextlib.asynccontextmanager
    async def _started(self, _app: object) -> AsyncIterator[None]:
        await self.start()
        yield
        await self.stop()
