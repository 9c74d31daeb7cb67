"""A loopback server that answers what a test tells it to, in order."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

POD: dict[str, Any] = {
    "id": "pod1",
    "name": "gpu",
    "status": "RUNNING",
    "actions": ["stop"],
    "image": "image:1",
    "args": "",
    "disk": 30,
    "mounts": {},
    "ports": ["8189/http", "22/tcp"],
    "env": {},
    "registry": None,
    "cloud": "SECURE",
    "dataCenterId": "EU-RO-1",
    "cudaVersion": "12.8",
    "gpu": {"id": "NVIDIA RTX A5000", "count": 1},
    "ssh": {"proxy": None, "direct": {"host": "1.2.3.4", "port": 4022, "username": "root", "command": "ssh"}},
    "template": None,
    "cost": 0.27,
    "locked": False,
    "runtime": {"uptime": 9, "ports": [{"private": 8189, "public": 30001, "type": "http", "ip": "100.65.0.1"}]},
    "createdAt": "2026-11-22T00:00:00Z",
    "startedAt": "2026-11-22T00:00:00Z",
    "globalNetworking": {"enabled": False},
}


def pod(**changes: object) -> dict[str, Any]:
    return {**POD, **changes}


def problem(status: int, detail: str, **more: object) -> Reply:
    return Reply(status, {"title": "Error", "status": status, "detail": detail, **more})


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False

    def content(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class FakeApi:
    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[Request] = []
        self.url = ""
        self.otherwise: Callable[[Request], Reply] | None = None
        """Answers what nothing was prepared for; None: such a request is a fault of the test."""

    def answer(self, *replies: Reply) -> None:
        self.replies.extend(replies)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # Head and body in one packet: two would wait for each other's acknowledgement.
    api: FakeApi

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        body = json.loads(content) if content else None
        request = Request(self.command, self.path, dict(self.headers), body)
        self.api.requests.append(request)
        spare = self.api.otherwise if not self.api.replies else None
        reply = spare(request) if spare else self.api.replies.pop(0)
        if reply.reset:
            # A reset instead of an orderly end: the peer sees ECONNRESET, as when a load balancer drops it.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        self.send(reply)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - names the base class looks for

    def send(self, reply: Reply) -> None:
        content = b"" if reply.status == 204 else reply.content()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        return


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        return  # A connection the test has reset.


@contextmanager
def fake_api() -> Iterator[FakeApi]:
    api = FakeApi()
    server = QuietServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"api": api}))
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
