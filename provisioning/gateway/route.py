"""What a route is, and how the one for a request is found."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from provisioning.gateway.access.door import Way
from provisioning.gateway.access.limits import Kind
from provisioning.gateway.access.scopes import Scope
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange

Handler = Callable[[Services, Exchange], Awaitable[None]]


class Access(Enum):
    """Who may use a route that no scope is for."""

    PUBLIC = "public"
    """Anybody, without a key and by any host name: what probes look at."""
    LOGIN = "login"
    """Anybody, without a key: where people show who they are."""
    ANY = "any"
    """Every living credential."""


OPEN = frozenset({Access.PUBLIC, Access.LOGIN})
"""What needs no key."""


@dataclass(frozen=True)
class Route:
    """One method on one path; `{name}` stands for one segment."""

    method: str
    path: str
    access: Access | Scope
    """The scope that a caller needs."""
    handler: Handler
    native: bool = True
    """Whether it is ComfyUI's, and so has a twin below /api."""
    lasting: bool = False
    """Whether its answer goes on for as long as the client likes, so that it takes no place of a short one."""
    kind: Kind = Kind.PLAIN
    web: bool = False
    """Whether it is a web page, or a call that only one makes, so that a browser's session opens it."""
    page: bool = False
    """Whether people open it by name, so that it is offered to whoever has just logged in."""
    signed: bool = False
    """Whether it gives a file, so that a signed address opens it."""
    is_public: bool = field(init=False)
    """Whether it answers anybody, by any host name."""
    needs_key: bool = field(init=False)
    scope: Scope | None = field(init=False)
    """The scope that a caller needs, where it is one."""
    way: Way = field(init=False)
    """By what else than a header a caller may come in."""

    def __post_init__(self) -> None:
        """Work out once what every request asks."""
        found = {
            "is_public": self.access is Access.PUBLIC,
            "needs_key": self.access not in OPEN,
            "scope": self.access if isinstance(self.access, Scope) else None,
            "way": Way(self.web, self.signed),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)


class Match(NamedTuple):
    """A route that was found, with the parts of its path."""

    route: Route
    params: Mapping[str, str]


class Router:
    """Finds routes by exact path."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._by_path: dict[str, dict[str, Route]] = {}
        self._plain: dict[tuple[str, str], Match] = {}
        """By method and path, those without a parameter."""
        self._patterns: dict[tuple[int, str], list[tuple[re.Pattern[str], dict[str, Route]]]] = {}
        """By how many segments they have, and the first of them, which never is a parameter."""
        for route in routes:
            for path in paths(route):
                self._by_path.setdefault(path, {})[route.method] = route
                if "{" not in path:
                    self._plain[route.method, path] = Match(route, {})
        for path, methods in self._by_path.items():
            if "{" in path:
                self._patterns.setdefault(_shape(path), []).append((_pattern(path), methods))

    def find(self, method: str, path: str) -> Match | Problem:
        """Return the route for a decoded path, or why there is none: NOT_FOUND or METHOD_NOT_ALLOWED.

        Returned, not raised: nobody without a key is to learn which paths there are.
        """
        if (plain := self._plain.get((method, path))) is not None:
            return plain
        methods, params = self._find(path)
        if methods is None:
            return Problem(Code.NOT_FOUND)
        # HEAD is GET without the body.
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            return Problem(Code.METHOD_NOT_ALLOWED, headers=(("allow", ", ".join(sorted(methods))),))
        return Match(route, params)

    def takes_signatures(self, path: str) -> bool:
        """Return whether a GET of a decoded path gives a file."""
        match = self.find("GET", path)
        return isinstance(match, Match) and match.route.signed

    def _find(self, path: str) -> tuple[dict[str, Route] | None, dict[str, str]]:
        if "{" not in path and path in self._by_path:
            return self._by_path[path], {}
        for pattern, methods in self._patterns.get(_shape(path), ()):
            if (found := pattern.fullmatch(path)) is not None:
                return methods, found.groupdict()
        return None, {}


def pages(routes: tuple[Route, ...]) -> Mapping[str, Scope | None]:
    """Return the paths of the pages that people open by name, and the scope that each needs; None for none."""
    named = (route for route in routes if route.page)
    return {route.path: route.access if isinstance(route.access, Scope) else None for route in named}


def paths(route: Route) -> tuple[str, ...]:
    """Return the paths at which a route answers."""
    return (route.path, f"/api{route.path}") if route.native else (route.path,)


def _shape(path: str) -> tuple[int, str]:
    return path.count("/"), path[1:].partition("/")[0]


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )
