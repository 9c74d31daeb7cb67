"""One HTTP request and its answer, on bare ASGI: what every handler is given."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from operator import itemgetter
from typing import Any

import orjson
from pydantic import BaseModel

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.problems import Code, Problem, fault

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[str, str]]

SECURITY_HEADERS = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ("cross-origin-resource-policy", "same-origin"),
)
"""On every answer, whatever it is."""

PIECE_BYTES = 256 * 1024
"""An answer that is longer is handed over in pieces, each when the one before has gone out."""

NO_STORE = ("cache-control", "no-store")

DEFAULTS = [(name.encode(), value.encode()) for name, value in (*SECURITY_HEADERS, NO_STORE)]
"""Encoded once: nearly every answer ends its head with these."""
_DEFAULT_NAMES = frozenset(name for name, _ in DEFAULTS)

_BY_NAME = "gateway.headers"
"""Key of a scope's headers by name."""


class Exchange:
    """Reads a request within its limits and writes exactly one answer."""

    # What hardly any request changes stands here, and not in every object.
    actor: Actor | None = None
    is_page = False
    """Whether a person without a session is shown where to log in."""
    route = ""
    job_id: str | None = None
    status = 0
    problem: Problem | None = None
    bytes_in = 0
    bytes_out = 0
    deadline: asyncio.Timeout | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, request_id: str, idle_seconds: float) -> None:
        self.scope = scope
        self.request_id = request_id
        self.method: str = scope.get("method", "GET")
        self.params: Mapping[str, str] = {}
        self.query: dict[str, str] = {}
        self.extra_headers: list[tuple[str, str]] = []
        self._receive = receive
        self._send = send
        self._idle_seconds = idle_seconds

    @property
    def who(self) -> Actor:
        """Return the authenticated caller; raises Problem on a route that nobody had to authenticate for."""
        if self.actor is None:
            raise Problem(Code.MISSING_CREDENTIALS)
        return self.actor

    @property
    def started(self) -> bool:
        """Return whether the answer has begun, so that no other can be given."""
        return self.status != 0

    def header(self, name: str) -> str | None:
        """Return a header that may come once; raises Problem when it comes more often."""
        return single_header(self.scope, name)

    def headers_among(self, names: frozenset[str]) -> dict[str, str]:
        """Return those of some headers that came; raises Problem when one came more than once."""
        given = names.intersection(by_name(self.scope))
        return {name: value for name in given if (value := self.header(name)) is not None}

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises Problem when it is longer than `limit` bytes or stops arriving."""
        if (declared := self.header("content-length")) is not None and declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        more = _has_body(self.scope)
        while more:
            message = await self._next_message()
            body = message.get("body", b"")
            self.bytes_in += len(body)
            if self.bytes_in > limit:
                raise _too_large(limit)
            more = message.get("more_body", False)
            if body:
                yield body

    async def whole(self, limit: int) -> bytes:
        """Return the body; raises Problem as `chunks` does."""
        if not _has_body(self.scope):
            return b""
        return b"".join([chunk async for chunk in self.chunks(limit)])

    async def _next_message(self) -> Message:
        try:
            async with asyncio.timeout(self._idle_seconds):
                message = await self._receive()
        except TimeoutError as error:
            raise Problem(Code.REQUEST_TIMEOUT) from error
        if message["type"] == "http.disconnect":
            raise Problem(Code.REQUEST_TIMEOUT)
        return message

    async def until_gone(self) -> None:
        """Wait until the client hangs up; for answers that last, after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def json(self, limit: int) -> dict[str, Any]:
        """Return the body as a JSON object; raises Problem."""
        # The content type is not looked at: ComfyUI takes every one, and its own example scripts send a form's.
        text = await self.whole(limit)
        try:
            body = orjson.loads(text or b"{}")
        except orjson.JSONDecodeError as error:
            raise Problem(Code.MALFORMED_JSON) from error
        if not isinstance(body, dict):
            raise Problem(Code.MALFORMED_JSON)
        return body

    async def start(self, status: int, headers: Headers) -> None:
        """Begin an answer that may last."""
        if self.deadline is not None:
            # The bound is on silence: RunPod's proxy lets an answer that has begun go on.
            self.deadline.reschedule(None)
        await self._send(self._head(status, headers))

    def _head(self, status: int, headers: Headers) -> Message:
        self.status = status
        own = [
            (name.encode(), value.encode("latin-1", "replace"))
            for name, value in (*headers, ("x-request-id", self.request_id), *self.extra_headers)
        ]
        if _DEFAULT_NAMES.isdisjoint(map(itemgetter(0), own)):
            own += DEFAULTS
        else:
            given = dict(own)
            own += [pair for pair in DEFAULTS if pair[0] not in given]
        return {"type": "http.response.start", "status": status, "headers": own}

    async def write(self, chunk: bytes, *, more: bool) -> None:
        """Send a part of the body; raises TimeoutError when the client has stopped reading."""
        self.bytes_out += len(chunk)
        async with asyncio.timeout(self._idle_seconds):
            await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def send(self, status: int, body: bytes, headers: Headers) -> None:
        """Send a whole answer, within the deadline that is on the request."""
        # RFC 9110, 8.6: an answer without content says nothing of its length.
        length = [] if status == 204 else [("content-length", str(len(body)))]
        await self._send(self._head(status, [*headers, *length]))
        body = b"" if self.method == "HEAD" else body
        if len(body) > PIECE_BYTES:
            await self._send_in_pieces(body)
            return
        self.bytes_out += len(body)
        await self._send({"type": "http.response.body", "body": body})

    async def _send_in_pieces(self, body: bytes) -> None:
        """Send as fast as the client reads: whoever reads nothing keeps its place, and few bytes of ours."""
        if self.deadline is not None:
            self.deadline.reschedule(None)
        for at in range(0, len(body), PIECE_BYTES):
            await self.write(body[at : at + PIECE_BYTES], more=at + PIECE_BYTES < len(body))

    async def send_json(self, body: Any, status: int = 200) -> None:  # noqa: ANN401 - any JSON
        """Send a JSON answer."""
        await self.send(status, orjson.dumps(body), [("content-type", "application/json")])

    async def send_document(self, document: BaseModel, status: int = 200) -> None:
        """Send a JSON answer that pydantic writes."""
        body = document.model_dump_json(by_alias=True).encode()
        await self.send(status, body, [("content-type", "application/json")])

    async def send_problem(self, problem: Problem) -> None:
        """Send an error, also while the body is still arriving."""
        self.problem = problem
        is_v2 = self.scope["path"].startswith("/api/v2/")
        body = orjson.dumps(problem.v2_body(self.request_id) if is_v2 else problem.body(self.request_id))
        await self.send(problem.entry.status, body, problem.headers())


def _has_body(scope: Scope) -> bool:
    headers = by_name(scope)
    return "transfer-encoding" in headers or headers.get("content-length", b"0") != b"0"


def by_name(scope: Scope) -> dict[str, bytes | None]:
    """Return a request's headers by their names, made once; one that came more than once has no value."""
    known: dict[str, bytes | None] | None = scope.get(_BY_NAME)
    if known is None:
        headers = scope["headers"]
        known = scope[_BY_NAME] = {name.decode("latin-1"): value for name, value in headers}
        if len(known) != len(headers):
            times = Counter(name.decode("latin-1") for name, _ in headers)
            known.update({name: None for name in times if times[name] > 1})
    return known


def single_header(scope: Scope, name: str) -> str | None:
    """Return a header that may come once; raises Problem when it comes more often or is not plain ASCII."""
    headers = by_name(scope)
    if name not in headers:
        return None
    value = headers[name]
    if value is None:
        raise Problem(Code.INVALID_REQUEST, f"The header {name} came more than once.", members=fault(name, "duplicate"))
    if not value.isascii():
        raise Problem(Code.INVALID_REQUEST, f"The header {name} is not ASCII.", members=fault(name, "not ASCII"))
    return value.decode("ascii")


def _too_large(limit: int) -> Problem:
    return Problem(Code.BODY_TOO_LARGE, f"The body is longer than {limit} bytes, the most this route takes.")
