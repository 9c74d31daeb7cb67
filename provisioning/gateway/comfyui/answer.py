"""One connection to ComfyUI, and the answer that arrives on it."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, auto
from typing import cast

import httptools

MAX_HEAD_BYTES = 64 * 1024
HELD_BYTES = 1024 * 1024
"""How much of an answer may wait here for a client that reads slowly, beside one more piece of 256 kB."""


class _Part(Enum):
    """What is expected next."""

    NOTHING = auto()
    HEAD = auto()
    COUNTED = auto()
    """A body of a known length."""
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


_NOTHING, _HEAD, _COUNTED, _CHUNKED, _UNTIL_CLOSE = _Part
"""By names of their own: to ask a class of an enumeration for a member costs many times more."""


class Connection(asyncio.Protocol):
    """Carries one request at a time, and hands over each answer while it arrives.

    Bodies of a known length, and so every file, go past the parser: what the system gave is what is handed on.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        """Of the answer, by their names in lower case."""
        self.has_heard = False
        """Whether anything came since the last question."""
        self.heard_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._expected = _NOTHING
        self._parser: httptools.HttpResponseParser | None = None
        self._head = b""
        self._left = 0
        self._keeps_alive = False
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._paused = False
        self._error: Exception | None = None

    @property
    def is_reusable(self) -> bool:
        """Return whether another question may be asked here."""
        return self._keeps_alive and self._expected is _NOTHING and not self._paused and self._error is None

    def is_silent_since(self, time: float) -> bool:
        """Return whether somebody has waited here for ComfyUI since `time` or longer, by the event loop's clock."""
        return self._waiter is not None and self.heard_at < time

    async def ask(self, request: bytes) -> None:
        """Send a whole request and wait for the head of its answer; raises TimeoutError or ConnectionError."""
        self.has_heard = False
        if self._error is not None or self._transport is None:
            raise ConnectionError("closed while it was not used")
        self._expected = _HEAD
        self._parser, self.headers = httptools.HttpResponseParser(self), {}
        self._parts.clear()
        self._held = 0
        self._transport.write(request)
        while self._expected is _HEAD and self._error is None:
            await self._wait()
        if self._error is not None:
            raise self._error

    async def read(self) -> bytes:
        """Return the next piece of the body, empty at its end; raises TimeoutError or ConnectionError."""
        while not self._parts and self._expected is not _NOTHING and self._error is None:
            await self._wait()
        if self._parts:
            part = self._parts.popleft()
            self._held -= len(part)
            if self._paused and self._held <= HELD_BYTES // 2:
                self._resume()
            return part
        if self._error is not None:
            raise self._error
        return b""

    async def _wait(self) -> None:
        self.heard_at = self._loop.time()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """Cut the connection."""
        self._expected, self._keeps_alive = _NOTHING, False
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: Exception) -> None:
        """Cut the connection and tell whoever waits."""
        if self._error is None:
            self._error = error
        self._wake()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are of no class that asyncio knows.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: of an answer without a length that is its proper end."""
        self._keeps_alive = False
        if self._expected is _UNTIL_CLOSE and exc is None:
            self._expected = _NOTHING
            self._wake()
        else:
            self.fail(exc if isinstance(exc, ConnectionError) else ConnectionError("closed by ComfyUI"))

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self.has_heard, self.heard_at = True, self._loop.time()
        try:
            self._take(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(ConnectionError(f"no answer in HTTP: {error}"))
        self._wake()

    def _take(self, data: bytes) -> None:
        if self._expected is _HEAD:
            data = self._take_head(data)
        if not data or self._error is not None:
            return
        if self._expected is _CHUNKED and self._parser is not None:
            self._parser.feed_data(data)
        elif self._expected is _COUNTED:
            self._take_counted(data)
        elif self._expected is _UNTIL_CLOSE:
            self._hold(data)
        else:
            self.fail(ConnectionError("an answer that nobody asked for"))

    def _take_head(self, data: bytes) -> bytes:
        """Return what came behind the head, once that is whole."""
        self._head = self._head + data if self._head else data
        end = self._head.find(b"\r\n\r\n") + 4
        if end < 4 or end > MAX_HEAD_BYTES:
            if len(self._head) > MAX_HEAD_BYTES:
                self.fail(ConnectionError("an endless head"))
            return b""
        head, rest, self._head = self._head[:end], self._head[end:], b""
        if self._parser is not None:
            self._parser.feed_data(head)
        if self._expected is _HEAD:
            self.fail(ConnectionError("a head that does not end where it ends"))
        return rest

    def _take_counted(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.fail(ConnectionError("more than was announced"))
            return
        if self._left == 0:
            self._expected = _NOTHING
        self._hold(data)

    def _hold(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        if self._held > HELD_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; called by the parser."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Take the status and see where the body will end; called by the parser, which has checked that it is one."""
        parser = self._parser
        if parser is None:
            return
        self.status, self._keeps_alive = parser.get_status_code(), parser.should_keep_alive()
        if self.status < 200:
            self.fail(ConnectionError(f"status {self.status} to a plain request"))
        if "transfer-encoding" in self.headers:
            self._expected = _CHUNKED
        elif "content-length" in self.headers:
            self._expected, self._left = _COUNTED, int(self.headers["content-length"])
        else:
            self._expected = _UNTIL_CLOSE

    def on_body(self, body: bytes) -> None:
        """Take a piece of a chunked body; called by the parser."""
        self._hold(body)

    def on_message_complete(self) -> None:
        """Take note of the end, also of an answer that has no body by its status; called by the parser."""
        self._expected = _NOTHING
