"""Requests in the bytes that no client library would send, and what each must come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

HOST = "Host: gateway.test"

REFUSED = frozenset({401})
"""Well formed and without a key: the answer says nothing of path, method and the rest."""
MALFORMED = frozenset({400, 405, 414, 426, 431, 501, 505})
"""Not in the form that the server reads; which of these statuses it answers is its own choice."""
EITHER = MALFORMED | REFUSED
NO_STATUS = 0
"""An answer of HTTP/0.9 is a body alone."""


@dataclass(frozen=True)
class Raw:
    """One request that must come to nothing."""

    name: str
    data: bytes
    statuses: frozenset[int]
    cut: bool = False
    """Whether its end is in doubt, so that the connection must not be used again."""


def head(target: str, *lines: str, method: str = "GET", version: str = "HTTP/1.1", host: str = HOST) -> bytes:
    """Return a request without a body; characters are bytes, and nothing is tidied up."""
    return "\r\n".join((f"{method} {target} {version}", *filter(None, [host]), *lines, "", "")).encode("latin-1")


def posted(target: str, body: str, *lines: str) -> bytes:
    """Return a POST with a body of the length that it says."""
    return head(target, *lines, f"Content-Length: {len(body)}", method="POST") + body.encode("latin-1")


def all_of(
    family: str, named: Mapping[str, bytes], statuses: Iterable[int] = REFUSED, *, cut: bool = False
) -> list[Raw]:
    """Return requests that must come to the same."""
    return [Raw(f"{family}: {name}", data, frozenset(statuses), cut) for name, data in named.items()]
