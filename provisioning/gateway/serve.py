"""Serving the gateway: one process, one worker, uvicorn."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import resource
import signal
import socket
import sys
from types import FrameType

import uvicorn

from provisioning.gateway import standby
from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.access.limiter import Limiter
from provisioning.gateway.app import Gateway
from provisioning.gateway.assembly import create_app
from provisioning.gateway.clock import SystemClock
from provisioning.gateway.comfyui.upstream import ComfyUI
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.quotas.jobs import JobQuotas
from provisioning.gateway.settings import GatewaySettings, SettingsError
from provisioning.gateway.storage.database import open_database
from provisioning.gateway.web.frames import GuardedSocket
from provisioning.gateway.web.turns import Turns
from provisioning.gateway.web.wire import GuardedProtocol

KEEP_ALIVE_SECONDS = 75
"""Longer than the pauses of a proxy that keeps connections open, so that it is not the one surprised."""

MAX_CONNECTIONS = 4000
"""Further ones are answered with 503."""

ACCEPTS = 8
"""Connections that are accepted in one turn of the event loop.

libuv accepts one for each listening descriptor (its pull request 3696): with a single one, a probe that comes behind
two hundred new clients would wait for two hundred turns.
"""

USER_TIMEOUT_MS = 60_000
"""A client that has acknowledged nothing for so long is cut off by the kernel (tcp(7), TCP_USER_TIMEOUT).

A connection that is closed while its client reads nothing would otherwise stay for ever, with what it did not read.
"""

SWITCH_SECONDS = 0.0005
"""How long the threads of the database may keep the event loop from going on (sys.setswitchinterval).

At Python's own 5 ms a request waits so long whenever it comes while the database works for another one.
"""

KEPT_BYTES, MAPPED_BYTES = 16 * 1024 * 1024, 4 * 1024 * 1024
"""Free memory that stays with the process, and the size from which a block is mapped for itself (mallopt(3)).

By glibc's own, lower figures the pieces of every picture are given back to the system and asked for again, page by
page: half as much CPU again for each megabyte.
"""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

MAX_SOCKET_MESSAGE_BYTES = 64 * 1024
"""Clients have nothing to say on the WebSocket but their features."""


class Server(uvicorn.Server):
    """uvicorn that tells the gateway of SIGTERM before it begins to close connections."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and leave what is there by now out of all garbage collections."""
        await super().startup(sockets)
        settle_down()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain, then stop as uvicorn does."""
        self._gateway.drain()
        super().handle_exit(sig, frame)


def serve(settings: GatewaySettings) -> bool:
    """Serve until told to stop; False when it could not start.

    Raises DatabaseError for a database it cannot use, and SettingsError for a port it cannot have.
    """
    _raise_file_limit()
    sys.setswitchinterval(SWITCH_SECONDS)
    _keep_memory()
    with _listener(settings.host, settings.port) as listener:
        return _serve(settings, listener)


def settle_down() -> None:
    """Have no garbage collection look through what is there now and stays: modules, routes, tables, models.

    A full one of these hundred thousand objects takes 60 ms, in which nobody is answered; without them, some
    microseconds.
    """
    gc.collect()
    gc.freeze()


def _serve(settings: GatewaySettings, listener: socket.socket) -> bool:
    clock = SystemClock()
    begins = functools.partial(open_database, settings, serves=True)
    database = standby.begin(settings, lambda: [listener.dup()], begins)
    gateway = create_app(
        settings,
        keys=KeyStore(database, settings.pepper.get_secret_value(), clock),
        limiter=Limiter(clock),
        ledger=Ledger(database, settings.usd_per_hour, JobQuotas.of(settings, settings.usd_per_hour)),
        upstream=ComfyUI(settings.upstream),
        clock=clock,
    )
    # uvicorn raises a signal that ended it once more, after its end: the database is to be closed all the same.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        server = Server(server_config(settings, gateway), gateway)
        server.run(sockets=descriptors(listener))
    finally:
        database.close()
    return server.started


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket bound beside the one that keeps the port for this user between two starts."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(f"{host}:{port} cannot be had ({error.strerror}); end what listens there") from error
    return listener


def descriptors(listener: socket.socket) -> list[socket.socket]:
    """Return as many descriptors of one listening socket as connections are to be accepted in a turn."""
    return [listener, *(listener.dup() for _ in range(ACCEPTS - 1))]


def _raise_file_limit() -> None:
    # A process of supervisord's may have 1024 files open, and each client and each connection to ComfyUI is one.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * MAX_CONNECTIONS + 1024), most))


def _keep_memory() -> None:
    # Other C libraries have other allocators.
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


def server_config(settings: GatewaySettings, gateway: Gateway) -> uvicorn.Config:
    """Return how uvicorn is to serve."""
    return uvicorn.Config(
        gateway,
        interface="asgi3",
        host=settings.host,
        port=settings.port,
        http=functools.partial(GuardedProtocol, turns=Turns()),  # type: ignore[arg-type]  # it is called, no more
        ws=GuardedSocket,
        ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        # Who the peer is decides what Host it may use; a header must not be able to say otherwise.
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
