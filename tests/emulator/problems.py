"""Errors of the API in RunPod's form (RFC 9457, application/problem+json) and with RunPod's words."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

NO_CAPACITY = (
    "There are no longer any instances available with the requested specifications. Please refresh and try again."
)
VOLUME_IN_USE = "You must remove this network volume from all pods before deleting it."
BLOCKED_AGENT = (
    "<!DOCTYPE html><html><head><title>Access denied</title></head>"
    "<body><h1>Access denied</h1><p>Error code: 1010</p></body></html>"
)
"""What the edge in front of RunPod's API sends to a User-Agent that it does not like."""

SOMETHING_WENT_WRONG = "Something went wrong. Please try again later or contact support."
USUAL = {
    400: NO_CAPACITY,
    401: "missing bearer token",
    402: "insufficient balance: credit for one hour is required",
    403: "access denied",
    404: "resource not found",
    409: "action is not valid for the present status",
    422: "Request validation failed.",
    429: "rate limit exceeded for the minute window",
}
"""What RunPod says most often with a status; with any other, that something went wrong."""
USUAL_ERRORS = {422: ["$: additional properties are not allowed"]}


class ApiError(Exception):
    """A refusal the API answers with; `status` is the HTTP status, the text becomes `detail`."""

    def __init__(
        self, status: int, detail: str, *, errors: list[str] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


def invalid(*errors: str) -> ApiError:
    """Return the 422 for a request that does not match the contract."""
    return ApiError(422, "Request validation failed.", errors=list(errors))


def not_found(noun: str) -> ApiError:
    """Return the 404 for something that is not there."""
    return ApiError(404, f"{noun} not found")


def problem(status: int, detail: str, errors: list[str] | None = None) -> web.Response:
    """Return a problem+json response."""
    body: dict[str, Any] = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if errors:
        body["errors"] = errors
    return web.json_response(body, status=status, content_type="application/problem+json")


def to_response(error: ApiError) -> web.Response:
    """Return the response of a refusal."""
    response = problem(error.status, error.detail, error.errors)
    response.headers.update(error.headers)
    return response
