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
from provisioning.gateway.server.nginx_config import KEEP_ALIVE_SECONDS, SOCKET, Address, Limits, render
from provisioning.gateway.server.socket_folder import socket_folder
from provisioning.gateway.server.websocket_limit import LimitedWebSocket
from provisioning.gateway.upstream.client import ComfyUIHttpClient

OPEN_FILES = 16_384
"""Of the gateway and of nginx, each: every client is one or two, and so is every connection to ComfyUI."""

MAX_SOCKET_MESSAGE_BYTES = 64 * 1024
"""Clients have nothing to say on the WebSocket but their features."""


class Server(uvicorn.Server):
    """uvicorn that tells the gateway of SIGTERM before it begins to close connections."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway
        gateway.services.handover.on_taken_over = self.leave

    def leave(self) -> None:
        """End in order, as at a signal; supervisord starts the process again."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain, then stop as uvicorn does."""
        self._gateway.drain()
        super().handle_exit(sig, frame)


def serve(settings: GatewaySettings) -> bool:
    """Serve until told to stop; False when it could not start.

    Raises DatabaseError for a database it cannot use, and SettingsError for a port it cannot have.
    """
    limits = Limits(connections=_raise_file_limit())
    # Python's own way would leave the folder behind when the process is told to end while it stands by.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # Whoever could enter the folder could pass for nginx, and name any address as the client's.
    with socket_folder(Path(tempfile.gettempdir())) as folder:
        config = render(Address(settings.host, settings.port), folder, limits)
        # Without nginx nobody reaches the gateway: it ends, and supervisord starts both again.
        ended = functools.partial(os.kill, os.getpid(), signal.SIGTERM)
        with nginx.running(nginx.binary(), config, folder, ended) as process:
            try:
                return _serve(settings, folder / SOCKET)
            finally:
                if process.poll() is not None:
                    # It says itself why it ended, most often that another process has its port.
                    raise SettingsError(
                        f"nginx, which listens on {settings.host}:{settings.port}, ended; see its message"
                    )


def _serve(settings: GatewaySettings, path: Path) -> bool:
    clock = SystemClock()
    begins = functools.partial(open_database, settings, serves=True)
    database = standby.begin(settings, path, begins)
    gateway = create_app(
        settings,
        keys=KeyStore(database, settings.pepper.get_secret_value(), clock),
        limiter=Limiter(clock),
        ledger=Ledger(database, settings.usd_per_hour, JobQuotas.of(settings, settings.usd_per_hour)),
        upstream=ComfyUIHttpClient(settings.upstream),
        clock=clock,
    )
    server = Server(server_config(settings, gateway, path), gateway)
    # A signal before uvicorn handles signals ends it as well. uvicorn raises a signal that ended it once more, after
    # its end: the database is to be closed all the same.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.leave())
    try:
        server.run()
    finally:
        database.close()
    return server.started


def _raise_file_limit() -> int:
    """Return how many files may be open; a process of supervisord's has 1024 by default."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = min(most, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    return limit


def server_config(settings: GatewaySettings, gateway: Gateway, path: Path) -> uvicorn.Config:
    """Return how uvicorn is to serve on the Unix socket of that path."""
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
        # nginx alone reaches the socket, and names the client in a header that no client can set.
        proxy_headers=True,
        forwarded_allow_ips="*",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
