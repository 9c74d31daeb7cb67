"""Finding the operation that a request calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from provisioning.gateway.core.http.operation import Operation
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope


class Match(NamedTuple):
    """An operation that was found, with the parameters in its path."""

    operation: Operation
    params: Mapping[str, str]


class Router:
    """Finds operations by exact path."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._by_path: dict[str, dict[str, Operation]] = {}
        self._patterns: dict[tuple[int, str], list[tuple[re.Pattern[str], dict[str, Operation]]]] = {}
        """By the number of segments and the first segment, which never is a parameter."""
        for operation in operations:
            for path in operation.paths:
                self._by_path.setdefault(path, {})[operation.method] = operation
        for path, methods in self._by_path.items():
            if "{" in path:
                self._patterns.setdefault(_shape(path), []).append((_pattern(path), methods))

    def find(self, method: str, path: str) -> Match | Problem:
        """Return the operation at a decoded path, or why there is none: NOT_FOUND or METHOD_NOT_ALLOWED.

        The problem is returned, not raised: nobody without a key may learn which paths exist.
        """
        methods, params = self._find(path)
        if methods is None:
            return Problem(Code.NOT_FOUND)
        # HEAD is GET without the body.
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            return Problem(Code.METHOD_NOT_ALLOWED, headers=(("allow", ", ".join(sorted(methods))),))
        return Match(operation, params)

    def takes_signatures(self, path: str) -> bool:
        """Return whether a GET of a decoded path serves a file that a signed address opens."""
        match = self.find("GET", path)
        return isinstance(match, Match) and match.operation.signed

    def _find(self, path: str) -> tuple[dict[str, Operation] | None, dict[str, str]]:
        if "{" not in path and path in self._by_path:
            return self._by_path[path], {}
        for pattern, methods in self._patterns.get(_shape(path), ()):
            if (found := pattern.fullmatch(path)) is not None:
                return methods, found.groupdict()
        return None, {}


def pages(operations: Iterable[Operation]) -> Mapping[str, Scope | None]:
    """Return the paths of the pages that people open by name, with the scope that each needs; None for none."""
    return {operation.path: operation.scope for operation in operations if operation.page}


def _shape(path: str) -> tuple[int, str]:
    return path.count("/"), path[1:].partition("/")[0]


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )
