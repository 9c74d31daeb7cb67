"""Requests that clients repeat under an Idempotency-Key."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from provisioning.gateway.core.http.operation import Parameter
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.core.time_units import DAY_MS

LIFETIME_MS = DAY_MS
"""How long a key names the request that brought it."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "1 to 255 visible characters of your own. The same request again under the same key within a day answers with "
    "the same job and the header `Idempotency-Replayed: true`; another request under it is refused.",
    "order-4711",
    "header",
    {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
)
PROBLEMS = (Code.IDEMPOTENCY_KEY_REUSE, Code.IDEMPOTENCY_CONFLICT)
"""Problems of an operation with that parameter."""


def idempotency_key(request: GatewayRequest) -> str | None:
    """Return the request's Idempotency-Key; raises Problem when it is malformed."""
    key = request.header("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        message = "Idempotency-Key: 1 to 255 visible characters."
        raise Problem(Code.INVALID_REQUEST, message, members=fault("idempotency-key", "malformed"))
    return key


def request_hash(body: dict[str, Any]) -> bytes:
    """Return what tells one request from another under the same key."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()


def mark_replayed(request: GatewayRequest) -> None:
    """Say in the answer that it is that of an earlier request."""
    request.context.headers.append(("idempotency-replayed", "true"))
