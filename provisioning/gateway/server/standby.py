"""Standby: a new pod's gateway waits until its ComfyUI responds and the other gateway on the volume has handed over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import uvicorn
from starlette.types import Receive, Scope, Send

from provisioning.gateway.core import database_url
from provisioning.gateway.core.database.log import opening
from provisioning.gateway.core.database.log.epochs import Epoch, Epochs
from provisioning.gateway.core.database.log.liveness import Predecessor, has_served_before
from provisioning.gateway.core.http.context import RequestContext
from provisioning.gateway.core.http.middleware import AnswerMiddleware
from provisioning.gateway.core.http.responses import JsonResponse, problem_response
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.upstream import queries as upstream_queries
from provisioning.gateway.upstream.client import ComfyUIHttpClient

POLL_SECONDS = 0.5

IDLE_SECONDS = 30
"""How long a client may not read its answer."""

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class Standby:
    """Waits for the gateway of another pod and requests the handover."""

    def __init__(self, settings: GatewaySettings, epochs: Epochs, is_ready: Callable[[], Awaitable[bool]]) -> None:
        self._settings = settings
        self._epochs = epochs
        self._is_ready = is_ready
        self._predecessor: Predecessor | None = None
        self._may_request = False
        self._requested_at: float | None = None

    async def wait(self) -> None:
        """Return when the next epoch may begin."""
        while True:
            if await self.is_due():
                return
            await asyncio.sleep(POLL_SECONDS)

    async def is_due(self) -> bool:
        """Check once whether the next epoch may begin."""
        try:
            # In a thread, since the volume may stall while standby responses are sent.
            predecessor = await asyncio.to_thread(self._find_predecessor)
            if predecessor is None or await asyncio.to_thread(self._is_over, predecessor):
                return True
            await self._request_handover(predecessor.epoch)
        except OSError as error:
            _log.warning("the folder of the log cannot be read: %s", error.strerror)
        return self._waited_too_long()

    def _find_predecessor(self) -> Predecessor | None:
        newest, settings = self._epochs.newest(), self._settings
        if newest is None:
            return None
        known = self._predecessor
        if known is None or known.epoch.number != newest.number:
            known = self._predecessor = Predecessor(newest, settings.pod_id, settings.silence_seconds)
            self._may_request = not known.is_ours() and not has_served_before(self._epochs, newest, settings.pod_id)
            self._requested_at = None
        return known

    def _is_over(self, predecessor: Predecessor) -> bool:
        if predecessor.is_ours() and not _is_handed_over(predecessor.epoch):
            return True
        # A gateway that has handed over does not take over again while its successor restarts.
        if self._may_request and predecessor.epoch.is_closed:
            return True
        silent = predecessor.is_silent()
        if silent and not predecessor.epoch.is_closed:
            _log.warning(
                "the other pod's gateway does not respond and is considered dead: its running job is run again here"
            )
        return silent

    async def _request_handover(self, epoch: Epoch) -> None:
        if self._may_request and self._requested_at is None and await self._is_ready():
            await asyncio.to_thread(epoch.ask, self._settings.pod_id)
            self._requested_at = asyncio.get_running_loop().time()
            _log.warning("ComfyUI is ready here: requesting the handover from the other pod's gateway")

    def _waited_too_long(self) -> bool:
        bound = self._settings.handover_seconds + 2 * self._settings.silence_seconds
        return self._requested_at is not None and asyncio.get_running_loop().time() - self._requested_at > bound


def _is_handed_over(epoch: Epoch) -> bool:
    """Return whether the epoch's gateway has handed over to another pod's, which may be about to start."""
    return epoch.is_closed and epoch.is_handover_requested


def begin(settings: GatewaySettings, path: Path, start: Callable[[], Result]) -> Result:
    """Call `start` as soon as the gateway may start, and return its result.

    While it waits, and while `start` runs after a wait, requests at the Unix socket `path` get the problem STANDBY. A
    signal stops the process, as it stops a gateway.
    """
    if settings.log is None or database_url.file_of(settings.database) is None:
        return start()
    return asyncio.run(_begin(settings, path, start))


async def _begin(settings: GatewaySettings, path: Path, start: Callable[[], Result]) -> Result:
    upstream = ComfyUIHttpClient(settings.upstream)
    await upstream.start()

    async def is_ready() -> bool:
        with contextlib.suppress(Problem):
            await upstream_queries.queue(upstream)
            return True
        return False

    try:
        standby = Standby(settings, opening.epochs_of(settings), is_ready)
        if await _is_due_at_once(standby):
            return start()
        _log.warning("another pod's gateway is active, or the volume does not respond: standing by")
        return await _serve(standby, path, start)
    finally:
        await upstream.close()


async def _is_due_at_once(standby: Standby) -> bool:
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(standby.is_due(), POLL_SECONDS)
    return False


async def _serve(standby: Standby, path: Path, start: Callable[[], Result]) -> Result:
    async def work() -> Result:
        await standby.wait()
        return await asyncio.to_thread(start)

    config = uvicorn.Config(answer, uds=str(path), lifespan="off", access_log=False, log_config=None, ws="none")
    server = uvicorn.Server(config)
    working = asyncio.create_task(work())
    working.add_done_callback(lambda _: setattr(server, "should_exit", True))
    # A signal that stops the server also stops the process, once the server has stopped.
    await server.serve()
    return await working


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer that this gateway is alive and in standby."""
    context = RequestContext(IDLE_SECONDS)
    context.bind(scope)
    await _ANSWER(scope, receive, send)


async def _standing_by(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"]
    refusal = problem_response(Problem(Code.STANDBY), path, RequestContext.of(scope).request_id)
    await (JsonResponse({"status": "alive"}) if path == "/livez" else refusal)(scope, receive, send)


_ANSWER = AnswerMiddleware(_standing_by)
