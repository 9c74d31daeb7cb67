"""The routes of ComfyUI's own web editor: below /comfy/, for an admin who is logged in.

What the editor calls are our own routes once more, below /comfy/api: its jobs wait in our queue, are accounted for and
shared out like everybody's, and its WebSocket is ours.
"""

from __future__ import annotations

from dataclasses import replace

from provisioning.gateway.access.limits import Kind
from provisioning.gateway.access.scopes import Scope
from provisioning.gateway.handlers import editor, workspace
from provisioning.gateway.route import Route
from provisioning.gateway.routes import ROUTES

DEPTH = 8
"""Folders and file together; custom nodes bring scripts in folders of their own."""


def _is_called(route: Route) -> bool:
    return (route.native and route.path != "/ws") or route.path.startswith("/api/jobs")


def _called(route: Route) -> Route:
    path = f"/api{route.path}" if route.native else route.path
    return replace(route, path=f"/comfy{path}", access=Scope.ADMIN, native=False, web=True, signed=False)


def _file(depth: int) -> Route:
    parts = "/".join(f"{{part{number}}}" for number in range(depth))
    return Route("GET", f"/comfy/{parts}", Scope.ADMIN, editor.file, web=True, native=False, kind=Kind.FILE)


EDITOR_ROUTES: tuple[Route, ...] = (
    Route("GET", "/comfy", Scope.ADMIN, editor.moved, web=True, native=False),
    Route("GET", "/comfy/", Scope.ADMIN, editor.page, web=True, page=True, native=False),
    *(_called(route) for route in ROUTES if _is_called(route)),
    # With us, /api/v2 is the Comfy API's; the editor means ComfyUI's own.
    Route("GET", "/comfy/api/v2/userdata", Scope.ADMIN, workspace.forward, web=True, native=False),
    *(_file(depth) for depth in range(1, DEPTH + 1)),
)
