"""Starlette's routes, made of what operations declare."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.routing import Match as Matched
from starlette.types import Message, Receive, Scope, Send

from provisioning.gateway.core import scopes
from provisioning.gateway.core.http.operation import Operation
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code, Problem

Answer = Callable[[GatewayRequest, Operation | Problem], Awaitable[Response]]
"""Answers a request by its operation, or by the reason for which there is none: NOT_FOUND or METHOD_NOT_ALLOWED.

The problem is handed over, not raised: a client without a key must not learn which paths exist.
"""


class Endpoint:
    """The ASGI app at one path, for every method; without operations, that of all other paths."""

    def __init__(self, operations: Mapping[str, Operation], answer: Answer) -> None:
        """Take the operations by their method."""
        self._operations = operations
        self._answer = answer

    def find(self, method: str) -> Operation | Problem:
        """Return the operation of a method, or why there is none."""
        if not self._operations:
            return Problem(Code.NOT_FOUND)
        # HEAD is GET without the body.
        if (operation := self._operations.get("GET" if method == "HEAD" else method)) is not None:
            return operation
        return Problem(Code.METHOD_NOT_ALLOWED, headers=(("allow", ", ".join(sorted(self._operations))),))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and close what its handler holds when the answer has been sent."""
        async with contextlib.AsyncExitStack() as held:
            request = GatewayRequest(scope, receive, held)
            response = await self._answer(request, self.find(request.method))
            if request.method == "HEAD" and isinstance(response, StreamingResponse):
                response = _without_body(response)
            await response(scope, _bounded(receive, request), send)


def _bounded(receive: Receive, request: GatewayRequest) -> Receive:
    """Return what an answer waits for the client's end with: a body longer than the limit ends the answer as well."""

    async def receive_within_limit() -> Message:
        message = await receive()
        request.context.bytes_in += len(message.get("body", b""))
        return {"type": "http.disconnect"} if request.context.bytes_in > request.body_limit else message

    return receive_within_limit


def _without_body(response: StreamingResponse) -> Response:
    """Return the head of an answer, for a client that asks for no more."""
    head = Response(status_code=response.status_code)
    head.raw_headers = response.raw_headers
    return head


def routes(operations: Iterable[Operation], answer: Answer) -> list[BaseRoute]:
    """Return a route for each path, the most specific paths first: Starlette takes the first one that matches."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        for path in operation.paths:
            by_path.setdefault(path, {})[operation.method] = operation
    paths = sorted(by_path, key=_literal_length, reverse=True)
    return [Route(path, Endpoint(by_path[path], answer)) for path in paths]


def _literal_length(path: str) -> tuple[bool, int]:
    """Return whether a path has no parameter, and how long it is up to the first one."""
    return "{" not in path, len(path.partition("{")[0])


class Match(NamedTuple):
    """An operation that was found, with the parameters in its path."""

    operation: Operation
    params: Mapping[str, str]


class OperationTable:
    """Finds operations by method and path, without a request."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._routes: Sequence[BaseRoute] = routes(operations, _unanswered)

    def find(self, method: str, path: str) -> Match | Problem:
        """Return the operation at a decoded path, or why there is none: NOT_FOUND or METHOD_NOT_ALLOWED."""
        for route in self._routes:
            matched, found = route.matches({"type": "http", "method": method, "path": path})
            if matched is Matched.FULL:
                operation = found["endpoint"].find(method)
                return operation if isinstance(operation, Problem) else Match(operation, found["path_params"])
        return Problem(Code.NOT_FOUND)

    def takes_signatures(self, path: str) -> bool:
        """Return whether a GET of a decoded path serves a file that a signed address opens."""
        match = self.find("GET", path)
        return isinstance(match, Match) and match.operation.signed


async def _unanswered(request: GatewayRequest, found: Operation | Problem) -> Response:
    raise NotImplementedError(f"{request.method} {found}")


def pages(operations: Iterable[Operation]) -> Mapping[str, scopes.Scope | None]:
    """Return the paths of the pages that people open by name, with the scope that each needs; None for none."""
    return {operation.path: operation.scope for operation in operations if operation.page}
