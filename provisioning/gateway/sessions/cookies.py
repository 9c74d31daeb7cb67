"""The cookie of a browser's session: for web pages alone, never for the API."""

from __future__ import annotations

from starlette.types import Scope

from provisioning.gateway.core.http.request_checks import is_near

NAME = "__Host-comfyui-session"
"""The prefix has browsers take it only from this very host, over TLS, for all its paths."""
NEAR_NAME = "comfyui-session"
"""Over an SSH tunnel there is no TLS: browsers would not keep a Secure cookie of http://127.0.0.1."""
MAX_HEADER = 16 * 1024


def read(scope: Scope) -> str | None:
    """Return the session's secret; None when there is none, or more than one, of which one may be a stranger's."""
    pairs = [part.strip() for name, value in scope["headers"] if name == b"cookie" for part in _parts(value)]
    wanted = f"{_name(scope)}="
    found = [pair.removeprefix(wanted) for pair in pairs if pair.startswith(wanted)]
    return found[0] if len(found) == 1 else None


def written(scope: Scope, secret: str, seconds: int) -> tuple[str, str]:
    """Return the header that has a browser keep a session for so long; 0 has it forget."""
    secure = "" if is_near(scope) else "; Secure"
    return "set-cookie", f"{_name(scope)}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _name(scope: Scope) -> str:
    return NEAR_NAME if is_near(scope) else NAME


def _parts(value: bytes) -> list[str]:
    return value.decode("latin-1").split(";") if len(value) <= MAX_HEADER else []
