"""The ASGI app around the handlers: routes, deadline, problems, and a record of each request."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Mapping

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.routing import Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from provisioning.gateway.admission import Admission
from provisioning.gateway.core.http import dispatch
from provisioning.gateway.core.http.context import RequestContext
from provisioning.gateway.core.http.middleware import AnswerMiddleware, PlainPathMiddleware
from provisioning.gateway.core.http.operation import MAX_BODY_BYTES, BodySize, Handler, Operation, RateClass
from provisioning.gateway.core.http.request import GatewayRequest, GatewaySocket
from provisioning.gateway.core.http.responses import problem_response
from provisioning.gateway.core.http.routing import Endpoint, routes
from provisioning.gateway.core.http.socket_route import SocketRoute
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.events.sockets import Socket
from provisioning.gateway.jobs.ledger import RequestRecord
from provisioning.gateway.limits import refusal_throttle
from provisioning.gateway.pages import login
from provisioning.gateway.services import Services

_log = logging.getLogger(__name__)
_requests = logging.getLogger("provisioning.gateway.requests")
"""One line for each request; it holds nothing of the client's but the method, since routes are patterns."""


def app(services: Services, handlers: Mapping[str, Handler], sockets: Mapping[str, SocketRoute]) -> ASGIApp:
    """Return the ASGI app of the handlers by the key of their operation, and of the WebSockets by their path."""
    admission = Admission(services)
    operations, websockets = Operations(services, admission, handlers), WebSocketHandler(services, admission)
    unknown, unknown_socket = Endpoint({}, operations.answer), SocketEndpoint(websockets, None)

    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        await (unknown if scope["type"] == "http" else unknown_socket)(scope, receive, send)

    opened = [WebSocketRoute(path, SocketEndpoint(websockets, route)) for path, route in sockets.items()]
    served = routes(services.operations, operations.answer)
    router = Router([*served, *opened], redirect_slashes=False, default=default)
    internal = services.settings.internal
    throttle = refusal_throttle.RefusalThrottle(
        internal.refusals_per_second, internal.refusal_burst, internal.refusal_delay_seconds
    )
    refusals = Refusals(throttle)
    handled = ExceptionMiddleware(
        PlainPathMiddleware(router),
        {Problem: refusals.answer, TimeoutError: refusals.answer_late, Exception: refusals.answer_fault},
    )
    return RecordMiddleware(AnswerMiddleware(handled), services)


class Operations:
    """Answers requests by the handlers of their operations."""

    def __init__(self, services: Services, admission: Admission, handlers: Mapping[str, Handler]) -> None:
        self._services = services
        self._admission = admission
        self._handlers = handlers
        settings = services.settings
        self._sizes = {
            BodySize.SMALL: MAX_BODY_BYTES,
            BodySize.WORKFLOW: settings.max_body_bytes,
            BodySize.FILE: settings.max_upload_bytes,
        }

    async def answer(self, request: GatewayRequest, found: Operation | Problem) -> Response:
        """Return the answer to a request within the deadline; raises Problem."""
        async with asyncio.timeout(self._services.settings.deadline_seconds):
            place = await self._admission.admit(request, found if isinstance(found, Operation) else None)
            if isinstance(found, Problem):
                raise found
            if not found.lasting:
                request.held.enter_context(place)
            self._admission.check(request, found)
            if found.body is not None:
                request.body_limit = self._sizes[found.body.size]
            if found.rate is RateClass.UPLOAD:
                return await self._upload(request, found)
            return await self._call(request, found)

    async def _call(self, request: GatewayRequest, operation: Operation) -> Response:
        return await dispatch.call(operation, self._handlers[operation.key], request)

    async def _upload(self, request: GatewayRequest, operation: Operation) -> Response:
        declared = request.header("content-length") or ""
        size = int(declared) if declared.isdigit() and len(declared) < 20 else self._services.settings.max_upload_bytes
        async with self._services.accounting.upload(request.who, size) as stored:
            response = await self._call(request, operation)
            stored.size = request.context.bytes_in
            return response


class WebSocketHandler:
    """Opens WebSockets and hands them to their handlers."""

    def __init__(self, services: Services, admission: Admission) -> None:
        self._services = services
        self._admission = admission

    async def serve(self, websocket: GatewaySocket, route: SocketRoute | None) -> None:
        """Serve a WebSocket to its end; raises Problem before it is accepted."""
        await self._admission.admit_socket(websocket, route.operation if route else None)
        if route is not None:
            socket = Socket(self._services.limiter, self._services.settings, websocket)
            check = functools.partial(self._services.authenticator.recheck, websocket.who)
            # The client may be gone when something is sent to it.
            with contextlib.suppress(WebSocketDisconnect):
                await route.handler(websocket, socket, check)


class SocketEndpoint:
    """The ASGI app at one path of WebSockets; without a route, that of all other paths."""

    def __init__(self, websockets: WebSocketHandler, route: SocketRoute | None) -> None:
        self._handler = websockets
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket."""
        await self._handler.serve(GatewaySocket(scope, receive, send), self._route)


class Refusals:
    """Turns exceptions into answers, as Starlette's handlers of exceptions."""

    def __init__(self, throttle: refusal_throttle.RefusalThrottle) -> None:
        self._throttle = throttle

    async def answer(self, connection: HTTPConnection, problem: Exception) -> Response:
        """Return the answer of a problem; Starlette refuses a WebSocket by it."""
        assert isinstance(problem, Problem)  # noqa: S101 - it is registered for no other
        context, path = RequestContext.of(connection.scope), connection.scope["path"]
        if context.is_page and problem.entry.status == 401:
            return RedirectResponse(login.address(path), 303)
        if problem.entry.status in refusal_throttle.STATUSES:
            await asyncio.sleep(self._throttle.delay(asyncio.get_running_loop().time()))
        context.problem = problem
        return problem_response(problem, path, context.request_id)

    async def answer_late(self, connection: HTTPConnection, _error: Exception) -> Response:
        """Return the answer to a request whose deadline is over."""
        return await self.answer(connection, Problem(Code.DEADLINE_EXCEEDED))

    async def answer_fault(self, connection: HTTPConnection, error: Exception) -> Response:
        """Return an answer from which the client learns nothing of what went wrong."""
        request_id = RequestContext.of(connection.scope).request_id
        _log.error("request failed", extra={"request_id": request_id}, exc_info=error)
        return await self.answer(connection, Problem(Code.INTERNAL_ERROR))


class RecordMiddleware:
    """Gives each request its context, and writes down and counts what became of it."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket."""
        clock = self._services.clock
        received_at, began = clock.now_ms(), clock.monotonic()
        context = RequestContext(self._services.settings.idle_seconds)
        context.bind(scope)
        try:
            await self._app(scope, receive, send)
        finally:
            self._record(scope.get("method", "GET"), context, received_at, clock.monotonic() - began)

    def _record(self, method: str, context: RequestContext, received_at: int, seconds: float) -> None:
        key_id = context.actor.key_id if context.actor else ""
        row = RequestRecord(
            context.request_id, key_id, context.job_id, method, context.route, context.status, received_at,
            round(seconds * 1000), context.bytes_in, context.bytes_out,
        )  # fmt: skip
        self._services.metrics.answered(row.method, row.route, row.status, seconds)
        if context.problem is not None:
            self._services.metrics.refused(context.problem)
        if key_id:
            self._services.ledger.record(row)
        _requests.info("request", extra=row._asdict())
