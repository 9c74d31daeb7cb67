"""The errors of an operation, and their OpenAPI response objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from provisioning.gateway.core.http.operation import FORM, Access, Operation, RateClass
from provisioning.gateway.core.problems import CATALOGUE, CONTENT_TYPE, Code, Problem
from provisioning.gateway.docs import headers

EVERY = (Code.INVALID_REQUEST, Code.HEADERS_TOO_LARGE, Code.INTERNAL_ERROR, Code.DEADLINE_EXCEEDED)
CLOSED = (
    Code.MISSING_CREDENTIALS,
    Code.INVALID_KEY,
    Code.KEY_EXPIRED,
    Code.KEY_REVOKED,
    Code.KEY_IN_URL,
    Code.USER_DISABLED,
    Code.INVALID_TOKEN,
    Code.TOKEN_EXPIRED,
    Code.SESSION_ENDED,
    Code.INVALID_TICKET,
    Code.HOST_NOT_ALLOWED,
    Code.RATE_LIMITED,
    Code.STORE_UNAVAILABLE,
    Code.TAKEN_OVER,
)
"""Errors of all operations that need a key."""
LOGIN = (Code.HOST_NOT_ALLOWED, Code.RATE_LIMITED, Code.STORE_UNAVAILABLE, Code.TAKEN_OVER)
"""Errors of operations for logging in."""
SIGNED = (Code.SIGNATURE_INVALID, Code.SIGNATURE_EXPIRED)
BODY = (Code.MALFORMED_JSON, Code.BODY_TOO_LARGE, Code.REQUEST_TIMEOUT)
FORMS = (
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.INVALID_FIELD,
    Code.INVALID_IMAGE,
    Code.IMAGE_TOO_MANY_PIXELS,
    Code.STORAGE_FULL,
)
EXAMPLE_ID = f"req_{'0f' * 16}"


def codes(operation: Operation) -> frozenset[Code]:
    """Return all error codes of an operation, from its properties and from the problems that it declares."""
    found = {*EVERY, *operation.problems}
    if operation.needs_key:
        found.update(CLOSED)
        found.add(Code.TOO_MANY_STREAMS if operation.lasting else Code.CONCURRENCY_LIMITED)
        found.update(SIGNED if operation.signed else ())
        found.update((Code.ORIGIN_NOT_ALLOWED,) if operation.web else ())
    found.update(LOGIN if operation.access is Access.LOGIN else ())
    if operation.scope is not None:
        found.add(Code.INSUFFICIENT_SCOPE)
    if operation.method not in {"GET", "HEAD"}:
        found.add(Code.ORIGIN_NOT_ALLOWED)
        # Changes are stored.
        found.update((Code.STORAGE_FULL,) if operation.needs_key else ())
    if operation.rate is RateClass.UPLOAD:
        found.add(Code.QUOTA_EXCEEDED)
    if "{" in operation.path:
        found.add(Code.NOT_FOUND)
    if operation.body is not None:
        found.update(BODY)
        found.update(FORMS if operation.body.media == FORM else ())
        found.update(() if operation.body.invalid is None else (operation.body.invalid,))
    return frozenset(found)


def by_status(found: Iterable[Code]) -> dict[int, list[Code]]:
    """Return codes by status, both sorted."""
    groups: defaultdict[int, list[Code]] = defaultdict(list)
    for code in sorted(found):
        groups[CATALOGUE[code].status].append(code)
    return dict(sorted(groups.items()))


def response(status: int, found: list[Code], *, comfy: bool) -> dict[str, Any]:
    """Return the response object for the codes of a status; `comfy`: for operations of the Comfy API v2."""
    schema = {
        "allOf": [
            {"$ref": f"#/components/schemas/{'ComfyProblemBody' if comfy else 'ProblemBody'}"},
            {"properties": {"code": {"enum": [code.value for code in found]}, "status": {"const": status}}},
        ]
    }
    examples = {code.value: {"$ref": f"#/components/examples/{example_name(code, comfy=comfy)}"} for code in found}
    return {
        "description": "; ".join(CATALOGUE[code].title for code in found) + ".",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _headers(found)},
        "content": {CONTENT_TYPE: {"schema": schema, "examples": examples}},
    }


def _headers(found: list[Code]) -> list[str]:
    carried = [{name.lower() for name, _ in Problem(code).headers()} for code in found]
    # Declared only when all codes of the response have the header.
    shared = (headers.RETRY_AFTER, headers.AUTHENTICATE)
    return [headers.REQUEST_ID, *(name for name in shared if all(name.lower() in own for own in carried))]


def example_name(code: Code, *, comfy: bool) -> str:
    """Return the name of a code's example among the document's components."""
    return f"{'comfy_' if comfy else ''}{code.value}"


def examples() -> dict[str, Any]:
    """Return an example of each code in both forms."""
    made = {}
    for code, entry in CATALOGUE.items():
        problem = Problem(code)
        for comfy, body in ((False, problem.body(EXAMPLE_ID)), (True, problem.v2_body(EXAMPLE_ID))):
            made[example_name(code, comfy=comfy)] = {"summary": entry.title, "value": body}
    return made
