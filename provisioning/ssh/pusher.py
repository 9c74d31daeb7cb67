"""Brings a pod to what a request asks for: reconnects, re-attaches, and ends within its bound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncssh

from provisioning.contract import PushRequest, bundle
from provisioning.errors import InstallError, ProvisioningError
from provisioning.ssh import remote
from provisioning.ssh.console import Console
from provisioning.ssh.session import RETRY_SECONDS, TRANSIENT_ERRORS, ReconnectDeadline, connect, reason

MAX_STARTS = 3
"""A pod that is reset in the middle loses its installer; it is started again, but not for ever."""


@dataclass(frozen=True)
class PushTimeouts:
    """How long what may take, in seconds."""

    stalled: float = 3600.0
    """Without progress: as long as something moves, an installation may take as long as its models need."""
    unreachable: float = 420.0
    """A pod pulls its image and may install its SSH server first."""
    silent: float = 45.0
    """Without a byte on the connection; then it counts as lost."""


class Pusher:
    """One request on its way; keeps what a re-attachment needs."""

    def __init__(
        self,
        request: PushRequest,
        console: Console,
        bounds: PushTimeouts,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._request = request
        self._console = console
        self._sleep = sleep
        self._bounds = bounds
        self._digest = bundle.digest()
        self._run = ""
        self._offset = 0
        self._starts = 0
        self._reconnect = ReconnectDeadline(bounds.unreachable)
        self._limit: asyncio.Timeout | None = None
        self._mark: tuple[object, ...] = ()

    async def push(self) -> dict[str, Any]:
        """Return the installer's result; raises ProvisioningError."""
        try:
            async with asyncio.timeout(self._bounds.stalled) as self._limit, self._console.alive():
                return await self._until_finished()
        except TimeoutError as error:
            raise ProvisioningError(
                f"the installation made no progress for {self._bounds.stalled:.0f} s; it goes on by itself on the pod, "
                "run the command again to follow it, or raise pod.installTimeoutSeconds in the stack file"
            ) from error

    async def _until_finished(self) -> dict[str, Any]:
        target = self._request.target
        self._console.doing(f"connecting to {target.host}:{target.port}")
        while True:
            try:
                async with connect(target) as connection:
                    self._reconnect.contact()
                    result = await self._session(connection)
                if result is not None:
                    return result
            except TRANSIENT_ERRORS as error:
                self._reconnect.check(target, error)
                self._console.doing(f"no connection ({reason(error)}); trying again")
            await self._sleep(RETRY_SECONDS)

    async def _session(self, connection: asyncssh.SSHClientConnection) -> dict[str, Any] | None:
        """Do all that one connection allows; None when the work must be started again."""
        if not self._run:
            await self._start(connection)
        lines = remote.follow(connection, self._digest, self._run, self._offset, self._bounds.silent)
        async for offset, text in lines:
            self._reconnect.contact()
            self._offset = offset
            line = json.loads(text)
            if line["step"] != "result":
                self._note_progress(line)
                self._console.event(line)
                continue
            return self._finished(line)
        raise asyncssh.ConnectionLost("the pod's follower ended early")

    def _note_progress(self, line: dict[str, Any]) -> None:
        """Count the bound anew when something moved; a service that is waited for and a rate are no progress."""
        telling = "" if line["total"] or line["step"] == "health" else line["detail"]
        mark = (line["step"], line["state"], line["bytes"], telling)
        if mark != self._mark and self._limit is not None:
            self._mark = mark
            self._limit.reschedule(asyncio.get_running_loop().time() + self._bounds.stalled)

    async def _start(self, connection: asyncssh.SSHClientConnection) -> None:
        if self._starts == MAX_STARTS:
            raise InstallError(f"the installer ended early {MAX_STARTS} times; look at the pod's log with `make logs`")
        self._console.doing("looking for the installer on the pod")
        if await remote.upload(connection, self._digest):
            self._console.say(f"uploaded the installer ({self._digest[:12]})")
        self._run, started = await remote.start(connection, self._request, self._digest)
        self._starts += 1
        self._offset = 0
        self._console.doing("installing" if started else "an installation of the same plan is running; following it")

    def _finished(self, line: dict[str, Any]) -> dict[str, Any] | None:
        if line["state"] == "done":
            return dict(line["result"])
        if line["state"] == "lost":
            self._run = ""
            self._console.say("the installer was ended from outside; starting it again")
            return None
        raise InstallError(line["detail"])
