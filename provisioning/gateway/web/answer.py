"""How an answer goes onto the wire: its head together with the first piece of its body, in one write."""

from __future__ import annotations

from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from provisioning.gateway.web.exchange import DEFAULTS, Message

LARGE_BYTES = 16 * 1024
"""A piece of this size is not copied to stand behind a head."""

BODILESS = frozenset({204, 304})
"""Statuses whose answers end with the head (RFC 9110, 6.4.1)."""

_DEFAULT_LINES = b"".join([b"%b: %b\r\n" % pair for pair in DEFAULTS])

_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})
"""What no line of a head may have in it."""


class Answer(RequestResponseCycle):
    """uvicorn's cycle with a sending half that does not look at each header by itself, twice.

    A head waits for the first piece of the body: whoever wants it on its way before that sends an empty piece.
    """

    _head = b""

    async def send(self, message: Message) -> None:  # type: ignore[override]  # the same messages under other names
        """Take a message of the ASGI's; raises RuntimeError for one that does not belong here."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start" and not self.response_started:
            self._begin(message["status"], message["headers"])
        elif message["type"] == "http.response.body" and self.response_started and not self.response_complete:
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"{message['type']} does not belong here")

    def _begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        usual = headers[-len(DEFAULTS) :] == DEFAULTS
        own = headers[: -len(DEFAULTS)] if usual else headers
        given = dict(own)
        length = given.get(b"content-length")
        self.chunked_encoding = length is None and self.scope["method"] != "HEAD" and status not in BODILESS
        self.expected_content_length = 0 if status in BODILESS else int(length or 0)
        every = [*self.default_headers, *own, *self._connection_headers(given.get(b"connection"))]
        lines = b"".join([b"%b: %b\r\n" % pair for pair in every])
        _check(lines, len(every))
        self.response_started, self.waiting_for_100_continue = True, False
        self._head = b"%b%b%b\r\n" % (STATUS_LINE[status], lines, _DEFAULT_LINES if usual else b"")

    def _connection_headers(self, given: bytes | None) -> Sequence[tuple[bytes, bytes]]:
        if given == b"close":
            self.keep_alive = False
        chunked = ((b"transfer-encoding", b"chunked"),) if self.chunked_encoding else ()
        return chunked if self.keep_alive or given else ((b"connection", b"close"), *chunked)

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body, self.expected_content_length = b"", 0
        if self.chunked_encoding:
            pieces = _framed(body, more=more)
        else:
            self._count(len(body), more=more)
            pieces = [body]
        self._write([self._head, *pieces])
        self._head = b""
        if not more:
            self._end()

    def _count(self, size: int, *, more: bool) -> None:
        self.expected_content_length -= size
        if self.expected_content_length < 0 or (self.expected_content_length and not more):
            raise RuntimeError("the body is not as long as its Content-Length says")

    def _write(self, pieces: list[bytes]) -> None:
        if sum(map(len, pieces)) < LARGE_BYTES:
            self.transport.write(b"".join(pieces))
        else:
            self.transport.writelines(filter(None, pieces))

    def _end(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _framed(body: bytes, *, more: bool) -> list[bytes]:
    """Return a piece of a chunked body (RFC 9112, 7.1)."""
    chunk = [b"%x\r\n" % len(body), body, b"\r\n"] if body else []
    return chunk if more else [*chunk, b"0\r\n\r\n"]


def _check(lines: bytes, count: int) -> None:
    """Refuse a header that would be two; raises RuntimeError."""
    if len(lines) - len(lines.translate(None, _CONTROLS)) != 2 * count:
        raise RuntimeError("a header with a control character in it")
