"""Request headers that may come once: two readers of a header that comes twice could each believe another one."""

from __future__ import annotations

from collections import Counter

from starlette.types import Scope

from provisioning.gateway.core.problems import Code, Problem, fault

_BY_NAME = "gateway.headers"
"""Key of a scope's headers by name."""


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
