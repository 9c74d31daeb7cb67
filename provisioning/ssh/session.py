"""An SSH session with a pod: pinned host key, keep-alive, time limits."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncssh

from provisioning.contract import SshTarget
from provisioning.errors import UnreachablePodError, UntrustedPodError

CONNECT_SECONDS = 15.0
KEEPALIVE_SECONDS = 10
KEEPALIVE_MISSES = 4
RETRY_SECONDS = 3.0

# Errors of a pod that is still starting and of lost connections; all other errors are final.
TRANSIENT_ERRORS = (
    OSError,
    asyncssh.ConnectionLost,
    asyncssh.DisconnectError,
    asyncssh.ChannelOpenError,
    asyncio.TimeoutError,
)


@asynccontextmanager
async def connect(target: SshTarget) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Log in once; raises UntrustedPodError, or one of TRANSIENT_ERRORS when a retry may succeed."""
    key = asyncssh.import_private_key(target.private_key)
    pinned = asyncssh.import_public_key(target.host_key)
    try:
        connection = await asyncssh.connect(
            target.host, target.port, username=target.user, client_keys=[key], known_hosts=([pinned], [], []),
            server_host_key_algs=["ssh-ed25519"], preferred_auth="publickey", agent_path=None, config=None,
            connect_timeout=CONNECT_SECONDS, login_timeout=CONNECT_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS, keepalive_count_max=KEEPALIVE_MISSES,
        )  # fmt: skip
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        raise UntrustedPodError(
            f"{target.host}:{target.port} does not have the host key of this stack's pod; nothing was sent. Another "
            "machine answers, or the pod was started without this stack: run `make up`, which refreshes the address"
        ) from error
    except asyncssh.PermissionDenied as error:
        raise UntrustedPodError(
            f"{target.host}:{target.port} does not accept this stack's key; the pod was started with another "
            "environment: run `make up`, or replace the pod"
        ) from error
    async with connection:
        yield connection


class ReconnectDeadline:
    """The time in which a pod must become reachable again; each contact resets it."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since = clock()

    def contact(self) -> None:
        """Record a contact with the pod."""
        self._since = self._clock()

    def waited(self) -> float:
        """Return the seconds since the last contact."""
        return self._clock() - self._since

    def check(self, target: SshTarget, error: BaseException) -> None:
        """Raise UnreachablePodError after the time limit."""
        if self.waited() > self._seconds:
            raise UnreachablePodError(
                f"no SSH connection to {target.host}:{target.port} for {self.waited():.0f} s ({reason(error)}); check "
                "that the pod runs (`make pods`), that its log says 'SSH server is up' (`make logs`), and that port "
                "22/tcp is published; then run the command again"
            ) from error


def reason(error: BaseException) -> str:
    """Return a short description of an error."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens on that port"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "no answer"
    if isinstance(error, socket.gaierror):
        return "the host name cannot be resolved"
    return str(error) or type(error).__name__
