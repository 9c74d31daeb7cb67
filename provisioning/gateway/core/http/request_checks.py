"""Who may come in, and by which address: everything decided before a handler is chosen."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from starlette.types import Scope

from provisioning.gateway.core import scopes
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.headers import single_header
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.core.settings import GatewaySettings

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
LOOPBACK_PEERS = frozenset({"127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD"})

_HOST = re.compile(r"(?P<name>[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:(?P<port>[0-9]{1,5}))?", re.ASCII)
_PLAIN_PATH = re.compile(rb"(/[A-Za-z0-9._~!$&'()*+,=:@%-]*)+", re.ASCII)
_SIMPLE_PATH = re.compile(rb"(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+", re.ASCII)
"""What most paths look like, so that there is nothing else to look for."""
_ESCAPE = re.compile(rb"%(.{0,2})", re.DOTALL)
_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_USER_FILE = re.compile(rb"(/comfy/api|/api)?/userdata/")
_FORBIDDEN_ESCAPES = frozenset({b"2f", b"5c", b"2e", b"25", b"3b", b"23", b"3f", b"7f"})
"""Slash, backslash, dot, percent, semicolon, hash, question mark, delete: a path has no honest use for them escaped."""


def check_host(scope: Scope, settings: GatewaySettings, *, public: bool) -> None:
    """Refuse a Host that is missing, odd or not ours; raises Problem.

    A public route answers to every well-formed name: health probes do not know ours. Loopback names are ours when the
    peer is on loopback: an SSH tunnel and the pod's own health check; a rebinding attack needs a name of its own.
    """
    host = _host(single_header(scope, "host") or "")
    if host is None:
        raise Problem(
            Code.INVALID_REQUEST, "The Host header is missing or malformed.", members=fault("host", "malformed")
        )
    if not (public or _is_near(scope, host) or set(host) & settings.allowed_hosts):
        raise Problem(Code.HOST_NOT_ALLOWED)


def is_near(scope: Scope) -> bool:
    """Return whether a request came over loopback by a loopback name: through an SSH tunnel, or from the pod itself."""
    host = _host(single_header(scope, "host") or "")
    return host is not None and _is_near(scope, host)


def _is_near(scope: Scope, host: tuple[str, str]) -> bool:
    return host[1] in LOOPBACK_NAMES and peer(scope) in LOOPBACK_PEERS


@lru_cache(maxsize=256)
def _host(text: str) -> tuple[str, str] | None:
    """Return a host in lower case, as it was given and without its port; None for one that is malformed."""
    match = _HOST.fullmatch(text.lower())
    return (match[0], match["name"]) if match else None


def peer(scope: Scope) -> str:
    """Return the address at the other end of the connection; no header can change it."""
    return str((scope.get("client") or ("",))[0])


def check_origin(scope: Scope, settings: GatewaySettings, *, safe: bool) -> None:
    """Refuse a web page of another origin wherever something could change; raises Problem."""
    origin = single_header(scope, "origin")
    if origin is None or safe:
        return
    scheme, separator, host = origin.lower().partition("://")
    given = _host(host)
    named = given is not None and bool(set(given) & (settings.allowed_hosts | LOOPBACK_NAMES))
    same = host == (single_header(scope, "host") or "").lower()
    if not (separator and scheme in {"http", "https"} and named and same):
        raise Problem(Code.ORIGIN_NOT_ALLOWED)


def check_scope(actor: Actor, needed: scopes.Scope) -> None:
    """Refuse a caller that was not given what a route needs; raises Problem INSUFFICIENT_SCOPE, which names it."""
    if needed not in actor.scopes:
        raise Problem(
            Code.INSUFFICIENT_SCOPE,
            f"This route needs the scope '{needed}'; ask an admin for a key that has it.",
            members={"needed_scope": needed.value},
        )


def plain_path(scope: Scope) -> str:
    """Return the decoded path; raises Problem for every trick a path can play.

    Below `userdata/` ComfyUI's clients write a whole path as one segment, with its slashes escaped: there they stay as
    `%2F`, so that the segments are what they were, and nothing else can be spelt that way.
    """
    raw = scope.get("raw_path") or scope["path"].encode()
    if _SIMPLE_PATH.fullmatch(raw):
        return str(raw.decode("ascii"))
    slashed = _USER_FILE.match(raw) is not None
    escapes = [escape.lower() for escape in _ESCAPE.findall(raw)]
    if not _PLAIN_PATH.fullmatch(raw) or not all(_is_plain_escape(escape, slashed=slashed) for escape in escapes):
        raise _bad_path()
    path = _decoded(_SLASH.sub(b"%252F", raw) if slashed else raw)
    parts = path.split("/")[1:]
    if any(part in {"", ".", ".."} for part in parts[:-1]) or parts[-1] in {".", ".."}:
        raise _bad_path()
    return path


def decoded_path(path: str) -> str:
    """Return a path that a client wrote into a body, as `plain_path` returns a request's; raises Problem."""
    return plain_path({"path": path, "raw_path": path.encode()})


def _is_plain_escape(escape: bytes, *, slashed: bool) -> bool:
    if slashed and escape == b"2f":
        return True
    is_hex = len(escape) == 2 and all(digit in b"0123456789abcdef" for digit in escape)
    return is_hex and escape not in _FORBIDDEN_ESCAPES and escape >= b"20"


def _decoded(raw: bytes) -> str:
    try:
        return unquote(raw.decode("ascii"), errors="strict")
    except UnicodeDecodeError as error:
        raise _bad_path() from error


def _bad_path() -> Problem:
    return Problem(Code.INVALID_REQUEST, "The path is not in its plain form.", members=fault("path", "not plain"))


def read_query(scope: Scope) -> dict[str, str]:
    """Return the query parameters; raises Problem when one comes twice or is not UTF-8."""
    if not scope.get("query_string"):
        return {}
    try:
        text = scope["query_string"].decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, "The query is malformed.", members=fault("query", "malformed")) from error
    if len(dict(pairs)) != len(pairs):
        raise Problem(Code.INVALID_REQUEST, "A query parameter came twice.", members=fault("query", "duplicate"))
    return dict(pairs)
