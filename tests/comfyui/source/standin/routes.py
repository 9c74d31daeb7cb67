"""Every route, each served at its path and once more below /api."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from . import routes_files, routes_information, routes_jobs, routes_prompts, routes_userdata

_MODULES = (routes_files, routes_information, routes_jobs, routes_prompts, routes_userdata)

ROUTES = [route for module in _MODULES for route in module.ROUTES if isinstance(route, web.RouteDef)]


def below_api(routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """Return the same routes under /api, where editors look for them."""
    return [web.RouteDef(route.method, f"/api{route.path}", route.handler, route.kwargs) for route in routes]
