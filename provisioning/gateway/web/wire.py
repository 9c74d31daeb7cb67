"""uvicorn's HTTP protocol with what it leaves open closed: absolute targets, endless heads, odd upgrades.

Timers are set once for a connection and not once for a request, of which there are very many more.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import orjson
from uvicorn._types import ASGI3Application, ASGIVersions, HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.web import crowd
from provisioning.gateway.web.answer import Answer
from provisioning.gateway.web.heads import MAX_HEAD_BYTES, Head
from provisioning.gateway.web.turns import Turns

HEAD_SECONDS = 15.0
"""From the connection, or the first byte of a further request, to the end of the headers."""


PROBES = frozenset({"/livez", "/readyz"})
"""Paths that are answered before all others: who asks there ends or replaces a gateway that is slow to answer."""

_ASGI: ASGIVersions = {"version": "3.0", "spec_version": "2.3"}

LINGER_SECONDS = 5.0
LINGER_BYTES = 16 * 1024 * 1024
"""How long, and for how much more of a body that was refused, a connection is kept after its answer.

A connection closed over bytes that nobody read is reset (RFC 1122, 4.2.2.13), and a reset takes the answer away from a
client that is still sending: it would see a broken connection in place of a 429 with Retry-After (RFC 9112, 9.6).
"""


class RefusedHeadError(Exception):
    """The head of a request is well formed and still not acceptable."""


PASSED = (
    "write", "writelines", "write_eof", "can_write_eof", "abort", "pause_reading", "resume_reading", "is_reading",
    "get_extra_info", "get_protocol", "set_protocol", "get_write_buffer_size", "set_write_buffer_limits",
)  # fmt: skip
"""All of a transport but how it is closed."""


class Lingering:
    """A transport that is closed by halves first while the client may still be sending."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, unread: Callable[[], bool]
    ) -> None:
        self.lingers = False
        """Whether the answer is out and what still comes is thrown away."""
        # Found on the object itself: a class with __getattr__ looks up all that it has many times slower.
        vars(self).update({name: getattr(transport, name) for name in PASSED})
        self._transport = transport
        self._loop = loop
        self._unread = unread

    def close(self) -> None:
        """Close: half of it first, when the client may still be sending."""
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


class GuardedProtocol(HttpToolsProtocol):
    """Refuses at the door what no honest client sends."""

    def __init__(self, *args: Any, turns: Turns, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own signature
        super().__init__(*args, **kwargs)
        self._turns = turns
        self._fault: Problem | None = None
        self._in_head = True
        self._head_bytes = self._frame_bytes = self._thrown_away = 0
        self._idle_since = self.loop.time()
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count the time a client takes."""
        self._lingering = Lingering(transport, self.loop, lambda: not self._in_head)
        super().connection_made(self._lingering)  # type: ignore[arg-type]  # it has what uvicorn uses
        if len(self.connections) > crowd.CROWD:
            crowd.thin_out(self.connections)
        self._start_head_timer()
        self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._leave_when_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        self._stop_timers()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over: from now on its time is another's to count."""
        self._stop_timers()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head has grown too long, or the answer is out already."""
        if self._lingering.lingers:
            self._thrown_away += len(data)
            if self._thrown_away > LINGER_BYTES:
                self._lingering.close()
            return
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._frame_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes and self._head_timer is None:
            self._start_head_timer()
        # The parser keeps what stands behind the chunks, and skips what stands beside them, without any end.
        most = self._head_bytes if self._in_head else self._frame_bytes
        if most > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(Problem(Code.HEADERS_TOO_LARGE))

    def on_message_begin(self) -> None:
        """Expect a head; its scope is made when it is whole."""
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body in the form of one is none."""
        if self._in_head:
            name = name.lower()
            self.headers.append((name, value))
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        """Look at the whole head and begin to answer; an exception here makes uvicorn call send_400_response."""
        self._in_head, self._head_bytes, self._frame_bytes = False, 0, 0
        self._stop_head_timer()
        parser = self.parser
        upgrade = self._get_upgrade() if parser.should_upgrade() else None
        head = Head(parser.get_method(), self.url, parser.get_http_version(), self.headers, upgrade)
        # What came in one piece was not counted while it came.
        self._fault = head.refusal()
        if self.is_crowded():
            self._fault = Problem(Code.NOT_READY, "There are too many connections; try again shortly.")
        if self._fault is not None:
            raise RefusedHeadError
        self.scope = self._scope_of(head)
        if upgrade is None:
            self._answer(keeps_alive=head.version != "1.0" and parser.should_keep_alive())

    def _scope_of(self, head: Head) -> HTTPScope:
        path, _, query = head.target.partition(b"?")
        text = path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": head.version,
            "server": self.server,
            "client": self.client,
            "scheme": "http",
            "method": head.method.decode("ascii"),
            "root_path": "",
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "headers": self.headers,
        }

    def _answer(self, *, keeps_alive: bool) -> None:
        former = self.cycle
        self.cycle = Answer(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keeps_alive,
            on_response=self.on_response_complete,
        )
        if former is None or former.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            # Sent before the answer to the one before: it waits for its turn.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

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
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._in_head:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        def start() -> None:
            self.tasks.add(self.loop.create_task(self._answered(cycle, app)))

        self._turns.begin(start, at_once=cycle.scope["path"] in PROBES)

    async def _answered(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        try:
            await cycle.run_asgi(app)
        finally:
            # Here and not in a callback, which would take a turn of the event loop of its own.
            self.tasks.discard(asyncio.current_task())

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

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_timers(self) -> None:
        self._stop_head_timer()
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def _leave_when_idle(self) -> None:
        """Close a connection that has waited for its next request long enough, or look again when it could have."""
        since = None if self._head_bytes else self.idle_since()
        left = self.timeout_keep_alive if since is None else since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._leave_when_idle)
        else:
            self.transport.close()

    def _too_slow(self) -> None:
        if self._in_head and not self.transport.is_closing():
            self._refuse(Problem(Code.REQUEST_TIMEOUT))
