"""ASGI middleware around all routes: what every path must be, and what every answer carries."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provisioning.gateway.core.http.context import RequestContext
from provisioning.gateway.core.http.request_checks import plain_path

SECURITY_HEADERS = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ("cross-origin-resource-policy", "same-origin"),
)
"""On every answer, whatever it is."""

NO_STORE = ("cache-control", "no-store")

PIECE_BYTES = 256 * 1024
"""An answer that is longer is handed over in pieces, each when the one before has gone out."""

_DEFAULTS = [(name.encode(), value.encode()) for name, value in (*SECURITY_HEADERS, NO_STORE)]
"""Headers of every answer that does not set them itself."""


class PlainPathMiddleware:
    """Routes by the path in its plain form; raises Problem for every other one, before anything else is looked at."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket."""
        scope["path"] = plain_path(scope)
        await self._app(scope, receive, send)


class AnswerMiddleware:
    """Completes answers: headers, no body for HEAD, pieces, a bound on the time in which the client reads nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket."""
        await self._app(scope, receive, _Answer(scope, send))


class _Answer:
    """The messages of one answer on their way to the server."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._context = RequestContext.of(scope)
        self._is_head = scope.get("method") == "HEAD"
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Send a message; raises TimeoutError when the client has stopped reading."""
        kind = message["type"].removeprefix("websocket.")
        if kind == "http.response.start":
            await self._send(self._started(message))
        elif kind == "http.response.body":
            await self._write(message)
        else:
            if kind == "accept":
                self._context.status = 101
            await self._send(message)

    def _started(self, message: Message) -> Message:
        context = self._context
        context.status = message["status"]
        own = [
            (name.encode(), value.encode()) for name, value in (("x-request-id", context.request_id), *context.headers)
        ]
        headers = [*message["headers"], *own]
        given = {name for name, _ in headers}
        return {**message, "headers": headers + [pair for pair in _DEFAULTS if pair[0] not in given]}

    async def _write(self, message: Message) -> None:
        body, more = b"" if self._is_head else message.get("body", b""), message.get("more_body", False)
        for at in range(0, len(body) or 1, PIECE_BYTES):
            piece = body[at : at + PIECE_BYTES]
            self._context.bytes_out += len(piece)
            async with asyncio.timeout(self._context.idle_seconds):
                await self._send({**message, "body": piece, "more_body": more or at + PIECE_BYTES < len(body)})
            # For a client that is gone uvicorn does not wait, and only a task that waits can be cancelled.
            await asyncio.sleep(0)
