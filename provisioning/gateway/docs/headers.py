"""Headers that answers carry, as OpenAPI header objects."""

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
    REQUEST_ID: _text("Names this request in the gateway's log; give it to the operator.", f"req_{'0f' * 16}"),
    RATE_LIMIT_POLICY: _text(
        "Every limit that counted this request, units per window; before them the quotas that refused it.",
        '"perkey";q=600;w=60',
    ),
    RATE_LIMIT: _text(
        "The limit that would refuse first, units left and seconds to wait; before it the quotas that refused.",
        '"perkey";r=599;t=1',
    ),
    RETRY_AFTER: {
        "description": "Seconds to wait before the same request is worth sending again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 5,
    },
    AUTHENTICATE: _text("The scheme in which a key is sent.", 'Bearer realm="comfyui"'),
}
"""Components of the document; each is on every answer that refers to it."""
