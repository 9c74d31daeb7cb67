"""uvicorn's HTTP protocol with what it leaves open closed: absolute targets, endless heads, odd upgrades.

And with head and body of an answer in one packet: two cost a system call more here, and wake the client twice.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.web import crowd
from provisioning.gateway.web.heads import MAX_HEAD_BYTES, Head

HEAD_SECONDS = 15.0
"""From the connection, or the first byte of a further request, to the end of the headers."""


LARGE_BYTES = 16 * 1024
"""A piece of this size fills packets of its own, and the transport has to see it to slow its writer down."""


LINGER_SECONDS = 5.0
LINGER_BYTES = 16 * 1024 * 1024
"""How long, and for how much more of a body that was refused, a connection is kept after its answer.

A connection closed over bytes that nobody read is reset (RFC 1122, 4.2.2.13), and a reset takes the answer away from a
client that is still sending: it would see a broken connection in place of a 429 with Retry-After (RFC 9112, 9.6).
"""


class RefusedHeadError(Exception):
    """The head of a request is well formed and still not acceptable."""


class Corked:
    """A transport that holds what is written until the event loop's next turn, and then writes it at once."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, unread: Callable[[], bool]
    ) -> None:
        self.lingers = False
        """Whether the answer is out and what still comes is thrown away."""
        self._transport = transport
        self._loop = loop
        self._unread = unread
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold `data`; a large piece goes out now, with all that was held before it."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        if len(data) >= LARGE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            self._transport.writelines(self._held)
            self._held = []

    def close(self) -> None:
        """Write what is held, and close: half of it first, when the client may still be sending."""
        self.flush()
        if self.lingers or self._transport.is_closing() or not self._unread():
            self._transport.close()
            return
        self.lingers = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._loop.call_later(LINGER_SECONDS, self._transport.close)

    def is_closing(self) -> bool:
        """Return whether nothing more can be written."""
        return self.lingers or self._transport.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Write what is held, and hand the connection over."""
        self.flush()
        self._transport.set_protocol(protocol)


class GuardedProtocol(HttpToolsProtocol):
    """Refuses at the door what no honest client sends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own signature
        super().__init__(*args, **kwargs)
        self._fault: Problem | None = None
        self._in_head = True
        self._head_bytes = self._frame_bytes = self._thrown_away = 0
        self._idle_since = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count the time a client takes."""
        self._corked = Corked(transport, self.loop, lambda: not self._in_head)
        super().connection_made(self._corked)  # type: ignore[arg-type]  # it has what uvicorn uses
        if len(self.connections) > crowd.CROWD:
            crowd.thin_out(self.connections)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head has grown too long, or the answer is out already."""
        if self._corked.lingers:
            self._thrown_away += len(data)
            if self._thrown_away > LINGER_BYTES:
                self._corked.close()
            return
        if self._in_head:
            if self._timer is None:
                self._start_timer()
            self._head_bytes += len(data)
        else:
            self._frame_bytes += len(data)
        super().data_received(data)
        # The parser keeps what stands behind the chunks, and skips what stands beside them, without any end.
        most = self._head_bytes if self._in_head else self._frame_bytes
        if most > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(Problem(Code.HEADERS_TOO_LARGE))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body in the form of one is none."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Look at the whole head; an exception here makes uvicorn answer through send_400_response."""
        self._in_head, self._head_bytes, self._frame_bytes = False, 0, 0
        self._stop_timer()
        version, method = self.parser.get_http_version(), self.parser.get_method()
        head = Head(method, self.url, version, self.headers, self._get_upgrade())
        # What came in one piece was not counted while it came.
        self._fault = head.refusal()
        if self.is_crowded():
            self._fault = Problem(Code.NOT_READY, "There are too many connections; try again shortly.")
        if self._fault is not None:
            raise RefusedHeadError
        super().on_headers_complete()

    def is_crowded(self) -> bool:
        """Return whether there are so many connections that no further request is taken."""
        return len(self.connections) >= (self.limit_concurrency or sys.maxsize)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        # Bytes of the body itself pay for as many between them.
        self._frame_bytes -= 2 * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        super().on_message_complete()
        self._in_head = True

    def on_response_complete(self) -> None:
        """Go on with the next request, unless this one has not ended: its rest would keep the connection for ever."""
        unread = not self._in_head and not self.pipeline
        self._idle_since = self.loop.time()
        super().on_response_complete()
        if unread and not self.transport.is_closing():
            self.transport.close()

    def idle_since(self) -> float | None:
        """Return since when the client has been asked for nothing and has asked for nothing."""
        return self._idle_since if self.cycle is None or self.cycle.response_complete else None

    def make_room(self) -> None:
        """Close an idle connection."""
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer a head that is refused in the form of all our errors, and hang up."""
        self._refuse(self._fault or Problem(Code.INVALID_REQUEST, msg))

    def _refuse(self, problem: Problem) -> None:
        body = orjson.dumps(problem.body("none"))
        own = (("content-length", str(len(body))), ("cache-control", "no-store"), ("connection", "close"))
        lines = [f"{name}: {value}\r\n" for name, value in (*problem.headers(), *own)]
        head = f"HTTP/1.1 {problem.entry.status} {problem.entry.title}\r\n{''.join(lines)}\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self._in_head and not self.transport.is_closing():
            self._refuse(Problem(Code.REQUEST_TIMEOUT))
