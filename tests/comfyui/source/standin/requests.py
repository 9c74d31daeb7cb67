"""The server that a route's request belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from .server import Server

SERVER: web.AppKey[Server] = web.AppKey("server")


def server_of(request: web.Request) -> Server:
    """Return the server that was asked."""
    return request.app[SERVER]


def bad_request(error: str, **more: Any) -> web.Response:  # noqa: ANN401 - anything that is JSON
    """Return a refusal in the form of the newer routes."""
    return web.json_response({"error": error, **more}, status=400)
