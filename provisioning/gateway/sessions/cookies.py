"""The session cookie of browsers: accepted for web pages only, never for the API."""

from __future__ import annotations

from starlette.types import Scope

from provisioning.gateway.core.http.request_checks import is_near

NAME = "__Host-comfyui-session"
"""Because of the prefix, browsers accept the cookie only from this host, over TLS and for all paths."""
LOOPBACK_NAME = "comfyui-session"
"""For SSH tunnels, which have no TLS: browsers do not store a Secure cookie of http://127.0.0.1."""
MAX_HEADER = 16 * 1024


def read(scope: Scope) -> str | None:
    """Return the session's secret; None when there is none, or more than one: another site may have set one of them."""
    pairs = [part.strip() for name, value in scope["headers"] if name == b"cookie" for part in _parts(value)]
    wanted = f"{_name(scope)}="
    found = [pair.removeprefix(wanted) for pair in pairs if pair.startswith(wanted)]
    return found[0] if len(found) == 1 else None


def set_cookie(scope: Scope, secret: str, seconds: int) -> tuple[str, str]:
    """Return the header that sets the session cookie for `seconds`; 0 deletes it."""
    secure = "" if is_near(scope) else "; Secure"
    return "set-cookie", f"{_name(scope)}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _name(scope: Scope) -> str:
    return LOOPBACK_NAME if is_near(scope) else NAME


def _parts(value: bytes) -> list[str]:
    return value.decode("latin-1").split(";") if len(value) <= MAX_HEADER else []
