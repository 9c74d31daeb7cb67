"""The operations of ComfyUI's web editor: below /comfy/, for an admin who is logged in.

The editor calls the gateway's own operations, which are also served below /comfy/api: its jobs are queued and accounted
for like all others, and its WebSocket is the gateway's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from provisioning.gateway.core.http.operation import (
    ANY_MEDIA,
    Answer,
    Operation,
    RateClass,
    Route,
    Tag,
    at,
    operations_of,
    routes_of,
)
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.editor.page import POLICY, content_security_policy
from provisioning.gateway.editor.user_data import V2_USER_DATA
from provisioning.gateway.upstream.client import ComfyUIClient, Request
from provisioning.gateway.upstream.owner_namespace import is_safe_name
from provisioning.gateway.upstream.proxy import STREAMED_REPLY_HEADERS, kept_headers, segment

ROOT = "/comfy/"

DEPTH = 8
"""Most parts of a file's path; custom nodes have scripts in nested folders."""

FOLDERS = frozenset({"assets", "cursor", "docs", "extensions", "fonts", "lib", "scripts", "templates"})
"""Folders that ComfyUI serves as files. Any other path may be a custom node's route with side effects."""

HASHED = frozenset({"assets", "fonts"})
"""Folders with a content hash in the file names, so that browsers may cache them; except those of `lib`."""

FOREVER = "private, max-age=31536000, immutable"
MAX_PAGE_BYTES = 1024 * 1024

_ROOT_FILE = re.compile(r"[A-Za-z0-9_.-]{1,128}\.(css|js|json|ico|png|svg|txt|webp|woff2?)", re.ASCII)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _own(path: str, **flags: Any) -> Operation:  # noqa: ANN401 - any field
    return Operation(
        method="GET",
        path=path,
        access=Scope.ADMIN,
        tag=Tag.NATIVE,
        summary="Open ComfyUI's editor",
        answers=(Answer("The editor's page or one of its files.", media=ANY_MEDIA),),
        web=True,
        **flags,
    )


def _files(handler: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorate a handler with an operation for each depth of paths."""
    for depth in range(DEPTH, 0, -1):
        parts = "/".join(f"{{part{number}}}" for number in range(depth))
        handler = _own(f"{ROOT}{parts}", rate=RateClass.FILE)(handler)
    return handler


class EditorRoutes:
    """Serves the editor's page, scripts and images."""

    def __init__(self, upstream: ComfyUIClient) -> None:
        self._upstream = upstream

    @_own("/comfy")
    async def redirect(self, request: GatewayRequest) -> Response:  # noqa: ARG002 - the form of a handler
        """Redirect to the URL to which the page's links are relative."""
        return RedirectResponse(ROOT, 308)

    @_own(ROOT, page=True)
    async def page(self, request: GatewayRequest) -> Response:  # noqa: ARG002 - the form of a handler
        """Answer with the editor's page, whose policy allows only its own inline scripts."""
        async with self._upstream.stream(Request("GET", "/")) as reply:
            body = await reply.whole(MAX_PAGE_BYTES)
        if reply.status != 200:
            raise Problem(Code.UPSTREAM_ERROR)
        policy = content_security_policy(body)
        return HTMLResponse(body, headers={"content-security-policy": policy})

    @_files
    async def file(self, request: GatewayRequest) -> Response:
        """Answer with a file of the editor; raises Problem NOT_FOUND for other paths."""
        parts = list(request.path_params.values())
        folder = parts[0] if len(parts) > 1 else ""
        known = folder in FOLDERS if folder else bool(_ROOT_FILE.fullmatch(parts[0]))
        if not known or not is_safe_name("/".join(parts)):
            raise Problem(Code.NOT_FOUND)
        caching = FOREVER if folder in HASHED and parts[1] != "lib" else "no-cache"
        return await self._passed_on(request, "/" + "/".join(map(segment, parts)), caching)

    async def _passed_on(self, request: GatewayRequest, path: str, caching: str) -> Response:
        wanted = {name: value for name in ("if-none-match", "if-modified-since") if (value := request.header(name))}
        reply = await request.held.enter_async_context(
            self._upstream.stream(Request(request.method, path, headers=wanted))
        )
        if reply.status not in {200, 304}:
            raise Problem(Code.NOT_FOUND if reply.status == 404 else Code.UPSTREAM_ERROR)
        # Worker scripts have the policy of their own response.
        own = {"cache-control": caching, "content-security-policy": POLICY}
        return StreamingResponse(reply.chunks, reply.status, headers=kept_headers(reply, STREAMED_REPLY_HEADERS) | own)


def _is_called(operation: Operation) -> bool:
    """Return whether the editor calls an operation, which is then also served below /comfy."""
    is_native = operation.native and operation.path != "/ws"
    return is_native or operation.path == V2_USER_DATA or operation.path.startswith("/api/jobs")


def _called(operation: Operation) -> Operation:
    # At /api/v2 the gateway serves the Comfy API; the editor expects ComfyUI's own routes.
    path = operation.path if operation.path.startswith("/api/") else f"/api{operation.path}"
    return at(operation, f"/comfy{path}", access=Scope.ADMIN, native=False, web=True, signed=False)


def editor_operations(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Return the editor's own operations, and those of the API that the editor calls."""
    called = (_called(operation) for operation in operations if _is_called(operation))
    return (*operations_of(EditorRoutes), *called)


def editor_routes(editor: EditorRoutes, routes: Iterable[Route]) -> tuple[Route, ...]:
    """Return the routes of `editor_operations`."""
    called = (Route(_called(route.operation), route.handler) for route in routes if _is_called(route.operation))
    return (*routes_of(editor), *called)
