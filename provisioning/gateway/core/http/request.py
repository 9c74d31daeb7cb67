"""Starlette's requests and WebSockets with what they lack: the caller, strict headers, bounded bodies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import Receive, Scope
from starlette.websockets import WebSocket

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.context import RequestContext
from provisioning.gateway.core.http.headers import by_name, single_header
from provisioning.gateway.core.http.operation import MAX_BODY_BYTES
from provisioning.gateway.core.problems import Code, Problem


class Connection(HTTPConnection):
    """What requests and WebSockets have in common."""

    @property
    def context(self) -> RequestContext:
        """Return what the gateway notes about the request."""
        return RequestContext.of(self.scope)

    @property
    def request_id(self) -> str:
        """Return the name of the request in answers and logs."""
        return self.context.request_id

    @property
    def who(self) -> Actor:
        """Return the authenticated caller; raises Problem on a route without authentication."""
        if self.context.actor is None:
            raise Problem(Code.MISSING_CREDENTIALS)
        return self.context.actor

    @property
    def query(self) -> dict[str, str]:
        """Return the query parameters, each of which came once."""
        return self.context.query

    def header(self, name: str) -> str | None:
        """Return a header that may come once; raises Problem when it comes more often."""
        return single_header(self.scope, name)

    def headers_among(self, names: frozenset[str]) -> dict[str, str]:
        """Return those of some headers that came; raises Problem when one came more than once."""
        given = names.intersection(by_name(self.scope))
        return {name: value for name in given if (value := self.header(name)) is not None}


class GatewaySocket(Connection, WebSocket):
    """A WebSocket."""


class GatewayRequest(Connection, Request):
    """A request; `body`, `stream` and `form` raise Problem for a body that is too long or stops arriving.

    Starlette's own limit of a body (`RequestBodyLimitMiddleware`) answers in plain text, and puts its refusal in the
    place of every other one.
    """

    body_limit = MAX_BODY_BYTES
    """The most bytes that the body may have."""

    def __init__(self, scope: Scope, receive: Receive, held: contextlib.AsyncExitStack) -> None:
        """`held`: closed when the answer has been sent."""
        super().__init__(scope, receive)
        self.held = held
        self._object: dict[str, Any] | None = None

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives; raises Problem BODY_TOO_LARGE or REQUEST_TIMEOUT."""
        declared = self.header("content-length")
        if declared is not None and declared.isdigit() and int(declared) > self.body_limit:
            raise self._too_large()
        if not self._has_body():
            return
        async with contextlib.aclosing(super().stream()) as chunks:
            while chunk := await self._within_idle_time(chunks):
                self.context.bytes_in += len(chunk)
                if self.context.bytes_in > self.body_limit:
                    raise self._too_large()
                yield chunk

    async def _within_idle_time(self, chunks: AsyncGenerator[bytes, None]) -> bytes:
        try:
            async with asyncio.timeout(self.context.idle_seconds):
                return await anext(chunks, b"")
        except (TimeoutError, ClientDisconnect) as error:
            raise Problem(Code.REQUEST_TIMEOUT) from error

    async def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises Problem."""
        # The content type is not looked at: ComfyUI takes every one, and its own example scripts send a form's.
        if self._object is None:
            self._object = _json_object(await self.body())
        return self._object

    def _has_body(self) -> bool:
        headers = by_name(self.scope)
        return "transfer-encoding" in headers or headers.get("content-length", b"0") != b"0"

    def _too_large(self) -> Problem:
        message = f"The body is longer than {self.body_limit} bytes, the most this route takes."
        return Problem(Code.BODY_TOO_LARGE, message)


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError as error:
        raise Problem(Code.MALFORMED_JSON) from error
    if not isinstance(body, dict):
        raise Problem(Code.MALFORMED_JSON)
    return body
