"""Response headers as OpenAPI header objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REQUEST_ID = "X-Request-Id"
RATE_LIMIT = "RateLimit"
RATE_LIMIT_POLICY = "RateLimit-Policy"
RETRY_AFTER = "Retry-After"
AUTHENTICATE = "WWW-Authenticate"


def _text(description: str, example: str, *, required: bool = True) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": "string"}, "example": example}


HEADERS: Mapping[str, dict[str, Any]] = {
    REQUEST_ID: _text(
        "Identifies the request in the gateway's log; include it when you ask the operator.", f"req_{'0f' * 16}"
    ),
    RATE_LIMIT_POLICY: _text(
        "The limits that counted this request, in units per window, after any quotas that refused it.",
        '"perkey";q=600;w=60',
    ),
    RATE_LIMIT: _text(
        "The limit that will be reached first, with units left and seconds to reset, after any quotas that refused.",
        '"perkey";r=599;t=1',
    ),
    RETRY_AFTER: {
        "description": "Seconds to wait before repeating the request.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 5,
    },
    AUTHENTICATE: _text("The authentication scheme for keys.", 'Bearer realm="comfyui"'),
}
"""Header components of the document; a response that refers to one always has it."""
