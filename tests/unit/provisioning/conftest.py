"""Loopback servers and small files for the tests of provisioning."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from provisioning.layout import Layout
from provisioning.progress import ProgressLog

TRUSTED: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""How a tar file of our own is unpacked: Python before 3.11.4 knows no filters."""


def safetensors(payload: bytes) -> bytes:
    """Return a file with one tensor."""
    header = json.dumps({"t": {"dtype": "U8", "shape": [len(payload)], "data_offsets": [0, len(payload)]}}).encode()
    return struct.pack("<Q", len(header)) + header + payload


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Script:
    """How a file server misbehaves; each list is used up from its front."""

    content: bytes = b""
    cut_after: list[int] = field(default_factory=list)
    """Bytes of body after which the connection is dropped."""
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    redirect: str = ""
    etag: str = '"one"'
    headers: dict[str, str] = field(default_factory=dict)
    """Go with every answer."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    script: Script

    def do_GET(self) -> None:
        script = self.script
        script.requests.append((self.path, dict(self.headers)))
        if script.redirect and self.path == "/moved":
            self._answer(302, b"", {"Location": script.redirect})
        elif script.statuses:
            self._answer(script.statuses.pop(0), b"no")
        else:
            self._send(script)

    def _send(self, script: Script) -> None:
        start = 0
        asked = self.headers.get("Range", "")
        if script.ranges and asked and self.headers.get("If-Range", script.etag) == script.etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(script.content) > 0:
            self._answer(416, b"", {"Content-Range": f"bytes */{len(script.content)}"})
            return
        headers = {"ETag": script.etag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(script.content) - 1}/{len(script.content)}"
        self._answer(206 if start else 200, script.content[start:], headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**self.script.headers, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status in {200, 206} and self.script.cut_after:
            self.wfile.write(body[: self.script.cut_after.pop(0)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        with suppress(ConnectionError):  # a client may well have seen enough
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


Serve = Callable[[Script], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a file server that follows a script; returns its base URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(script: Script) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"script": script}))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    made = Layout(tmp_path / "pod")
    for directory in (made.home, made.run):
        directory.mkdir(parents=True)
    yield made
    # Where it has a folder of its own, that is outside the test's.
    shutil.rmtree(made.supervisor_socket.parent, ignore_errors=True)


@pytest.fixture
def progress(tmp_path: Path) -> Iterator[ProgressLog]:
    made = ProgressLog(tmp_path / "progress.jsonl")
    yield made
    made.close()


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[], list[dict[str, object]]]:
    return lambda: [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
