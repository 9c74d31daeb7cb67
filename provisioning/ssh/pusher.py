"""Run an installation on a pod: reconnect, follow a running installer, and respect time limits."""

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
"""Maximum number of installer starts: a reset pod loses its installer, which is then started again."""


@dataclass(frozen=True)
class PushTimeouts:
    """Time limits in seconds."""

    stalled: float = 3600.0
    """Time without progress; the total time of an installation is not limited."""
    unreachable: float = 420.0
    """Time without SSH; a new pod first pulls its image and may install its SSH server."""
    silent: float = 45.0
    """Time without a byte from the pod, whose follower sends a keep-alive every five seconds."""


class Pusher:
    """The push of one request, with the state for a reconnection."""

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
                f"the installation made no progress for {self._bounds.stalled:.0f} s; it continues on the pod, "
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
        """Run the installation over one connection; None when it must be started again."""
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
        raise asyncssh.ConnectionLost("the follower on the pod ended early")

    def _note_progress(self, line: dict[str, Any]) -> None:
        """Reset the time limit after progress; waiting for a service and a transfer rate do not count as progress."""
        detail = "" if line["total"] or line["step"] == "health" else line["detail"]
        mark = (line["step"], line["state"], line["bytes"], detail)
        if mark != self._mark and self._limit is not None:
            self._mark = mark
            self._limit.reschedule(asyncio.get_running_loop().time() + self._bounds.stalled)

    async def _start(self, connection: asyncssh.SSHClientConnection) -> None:
        if self._starts == MAX_STARTS:
            raise InstallError(
                f"the installer ended without a result {MAX_STARTS} times; check the pod's log with `make logs`"
            )
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
            self._console.say("the installer was killed; starting it again")
            return None
        raise InstallError(line["detail"])
