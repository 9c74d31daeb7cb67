"""Cross-origin rules of every request, as ComfyUI has them."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from .arguments import Options

_LOG = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def middlewares(options: Options) -> list[Middleware]:
    """Return the rules that these options ask for."""
    return [_allow_origin(options.cors_origin) if options.cors_origin else _refuse_other_origins]


def _allow_origin(origin: str) -> Middleware:
    @web.middleware
    async def allow(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = web.Response() if request.method == "OPTIONS" else await handler(request)
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = "POST, GET, DELETE, PUT, OPTIONS, PATCH"
        response.headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization"
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    return allow


@web.middleware
async def _refuse_other_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page of another site sends to a ComfyUI on loopback."""
    host, origin = urlsplit(f"//{request.headers.get('Host', '')}"), urlsplit(request.headers.get("Origin", ""))
    if host.hostname and origin.hostname and _is_loopback(host.hostname):
        same_port = host.port == origin.port or None in (host.port, origin.port)
        if host.hostname != origin.hostname or not same_port:
            _LOG.warning("WARNING: request with non matching host and origin %s != %s", host.netloc, origin.netloc)
            return web.Response(status=403)
    return web.Response() if request.method == "OPTIONS" else await handler(request)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
