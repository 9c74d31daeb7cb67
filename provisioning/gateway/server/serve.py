"""Serving the gateway: one process, one worker, uvicorn on a Unix socket, nginx in front of it."""

from __future__ import annotations

import functools
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import uvicorn

from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.app import Gateway
from provisioning.gateway.core.clock import SystemClock
from provisioning.gateway.core.database.database import open_database
from provisioning.gateway.core.rate_limiter import Limiter
from provisioning.gateway.core.settings import GatewaySettings, SettingsError
from provisioning.gateway.factory import create_app
from provisioning.gateway.jobs.job_usage import JobQuotas
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.server import nginx, standby
from provisioning.gateway.server.nginx_config import KEEP_ALIVE_SECONDS, SOCKET, Address, ClientLimits, render
from provisioning.gateway.server.socket_folder import socket_folder
from provisioning.gateway.server.websocket_limit import LimitedWebSocket
from provisioning.gateway.upstream.client import ComfyUIHttpClient

OPEN_FILES = 16_384
"""Open files of the gateway and of nginx, each: a client needs one or two, a connection to ComfyUI likewise."""

MAX_SOCKET_MESSAGE_BYTES = 64 * 1024
"""Clients send only their features on the WebSocket."""


class Server(uvicorn.Server):
    """A uvicorn server that drains the gateway on SIGTERM before it closes connections."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway
        gateway.services.handover.on_taken_over = self.leave

    def leave(self) -> None:
        """Stop gracefully, as after a signal; supervisord starts the process again."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain the gateway, then stop as uvicorn does."""
        self._gateway.drain()
        super().handle_exit(sig, frame)


def serve(settings: GatewaySettings) -> bool:
    """Serve until a signal; returns False when the start failed.

    Raises DatabaseError for an unusable database, and SettingsError for a port that cannot be bound.
    """
    limits = ClientLimits(connections=_raise_file_limit())
    # Python's default would leave the folder behind when the process is stopped during standby.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # A process with access to the folder could pretend to be nginx and forge the clients' addresses.
    with socket_folder(Path(tempfile.gettempdir())) as folder:
        config = render(Address(settings.host, settings.port), folder, limits)
        # Without nginx the gateway is unreachable: it stops, and supervisord starts both again.
        ended = functools.partial(os.kill, os.getpid(), signal.SIGTERM)
        with nginx.running(nginx.binary(), config, folder, ended) as process:
            try:
                return _serve(settings, folder / SOCKET)
            finally:
                if process.poll() is not None:
                    # nginx prints the reason, most often that another process uses the port.
                    raise SettingsError(
                        f"nginx, which listens on {settings.host}:{settings.port}, stopped; see its message"
                    )


def _serve(settings: GatewaySettings, path: Path) -> bool:
    clock = SystemClock()
    start = functools.partial(open_database, settings, serves=True)
    database = standby.begin(settings, path, start)
    gateway = create_app(
        settings,
        keys=KeyStore(database, settings.pepper.get_secret_value(), clock),
        limiter=Limiter(clock),
        ledger=Ledger(database, settings.usd_per_hour, JobQuotas.of(settings, settings.usd_per_hour)),
        upstream=ComfyUIHttpClient(settings.upstream),
        clock=clock,
    )
    server = Server(server_config(settings, gateway, path), gateway)
    # A signal before uvicorn's handlers are installed must stop it as well. After its end, uvicorn raises the signal
    # again, and the database must still be closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.leave())
    try:
        server.run()
    finally:
        database.close()
    return server.started


def _raise_file_limit() -> int:
    """Raise the limit of open files, which is 1024 under supervisord, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = min(most, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    return limit


def server_config(settings: GatewaySettings, gateway: Gateway, path: Path) -> uvicorn.Config:
    """Return uvicorn's configuration for the Unix socket at `path`."""
    return uvicorn.Config(
        gateway,
        uds=str(path),
        interface="asgi3",
        http="httptools",
        ws=LimitedWebSocket,
        ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        # Only nginx can open the socket; it sets the client's address in a header that clients cannot set.
        proxy_headers=True,
        forwarded_allow_ips="*",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
