"""The server with its parts, and its routes below / and /api."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from .arguments import Options
from .execution import Worker
from .folders import Folders
from .machine import Machine
from .middleware import middlewares
from .prompt_queue import PromptQueue
from .registry import Registry
from .requests import SERVER
from .routes import ROUTES, below_api
from .sockets import Sockets

_PATIENCE_SECONDS = 1.0
"""How long a running job may take to notice that the server ends."""


class Server:
    """One ComfyUI stand-in; made inside a running event loop."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.folders = Folders(options)
        self.machine = Machine(options, self.folders)
        self.registry = Registry(self.machine)
        self.sockets = Sockets(self.queue_info, self.features)
        self.queue = PromptQueue(self._tell_status, self.machine)
        self.app = web.Application(client_max_size=options.max_upload_bytes, middlewares=middlewares(options))
        self.app[SERVER] = self
        self._next_number = 0
        self.app.add_routes([*ROUTES, *below_api(ROUTES)])
        for name, folder in self.registry.web_folders.items():
            self.app.router.add_static(f"/extensions/{name}", folder)
        if options.front_end is not None:
            self.app.router.add_static("/", options.front_end)
        self.app.cleanup_ctx.append(self._run)

    def take_number(self, *, front: bool) -> float:
        """Return the next job's place in the queue: higher for later, and negated to go to the front."""
        number = -self._next_number if front else self._next_number
        self._next_number += 1
        return number

    def queue_info(self) -> dict[str, Any]:
        """Return how much there is to do."""
        return {"exec_info": {"queue_remaining": self.queue.remaining()}}

    def features(self) -> dict[str, Any]:
        """Return what the server can do."""
        return {
            "supports_preview_metadata": True,
            "max_upload_size": self.options.max_upload_bytes,
            "extension": {"manager": {"supports_v4": True}},
            "stand_in": True,
        }

    def _tell_status(self) -> None:
        self.sockets.send_soon("status", {"status": self.queue_info()}, None)

    async def _run(self, app: web.Application) -> AsyncIterator[None]:
        del app
        worker = Worker(self.queue, self.registry, self.machine, self.sockets)
        self.sockets.executing = worker.executing
        # A daemon thread: a node may hang for ever, and the process must end all the same.
        thread = threading.Thread(target=worker.work, name="prompt worker", daemon=True)
        thread.start()
        publisher = asyncio.create_task(self.sockets.publish())
        yield
        self.queue.close()
        await asyncio.to_thread(thread.join, _PATIENCE_SECONDS)
        publisher.cancel()
        await self.sockets.close()
