"""Every error response of the gateway: one catalogue, one exception, one format (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

CONTENT_TYPE = "application/problem+json"


class Code(StrEnum):
    """The machine-readable name of an error."""

    INVALID_REQUEST = "invalid_request"
    INVALID_FIELD = "invalid_field"
    INVALID_PROMPT_ID = "invalid_prompt_id"
    MALFORMED_JSON = "malformed_json"
    WORKFLOW_FORMAT_UI = "workflow_format_ui"
    MISSING_CREDENTIALS = "missing_credentials"
    INVALID_KEY = "invalid_key"
    KEY_EXPIRED = "key_expired"
    KEY_REVOKED = "key_revoked"
    KEY_IN_URL = "key_in_url"
    USER_DISABLED = "user_disabled"
    INVALID_LOGIN = "invalid_login"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a name
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - likewise
    SESSION_ENDED = "session_ended"
    INVALID_TICKET = "invalid_ticket"
    SIGNATURE_INVALID = "signature_invalid"
    SIGNATURE_EXPIRED = "signature_expired"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    MORE_THAN_OWN = "more_than_own"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    NOT_FOUND = "not_found"
    BLOB_NOT_FOUND = "blob_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    HASH_MISMATCH = "hash_mismatch"
    FILE_EXISTS = "file_exists"
    STATE_CONFLICT = "state_conflict"
    NO_SESSION = "no_session"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
    HOST_NOT_ALLOWED = "host_not_allowed"
    INVALID_WORKFLOW = "invalid_workflow"
    NODE_NOT_ALLOWED = "node_not_allowed"
    WORKFLOW_TOO_LARGE = "workflow_too_large"
    MISSING_ASSET = "missing_asset"
    INVALID_IMAGE = "invalid_image"
    IMAGE_TOO_MANY_PIXELS = "image_too_many_pixels"
    IDEMPOTENCY_KEY_REUSE = "idempotency_key_reuse"
    WEBHOOK_URL_FORBIDDEN = "webhook_url_forbidden"
    TOO_MANY_WEBHOOKS = "too_many_webhooks"
    UPGRADE_REQUIRED = "upgrade_required"
    QUOTA_EXHAUSTED = "quota_exhausted"
    QUOTA_EXCEEDED = "quota_exceeded"
    RATE_LIMITED = "rate_limited"
    CONCURRENCY_LIMITED = "concurrency_limited"
    TOO_MANY_STREAMS = "too_many_streams"
    QUEUE_FULL = "queue_full"
    HEADERS_TOO_LARGE = "headers_too_large"
    INTERNAL_ERROR = "internal_error"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    STORE_UNAVAILABLE = "store_unavailable"
    GPU_FAULT = "gpu_fault"
    UPSTREAM_STUCK = "upstream_stuck"
    NOT_READY = "not_ready"
    DRAINING = "draining"
    STANDBY = "standby"
    TAKEN_OVER = "taken_over"
    STORAGE_FULL = "storage_full"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    DEADLINE_EXCEEDED = "deadline_exceeded"


@dataclass(frozen=True)
class ProblemType:
    """A kind of error response."""

    status: int
    title: str
    detail: str
    """What the caller can do about it; used unless the exception has a more specific detail."""


CATALOGUE: Mapping[Code, ProblemType] = {
    Code.INVALID_REQUEST: ProblemType(400, "Invalid request", "The request is malformed; see `errors`."),
    Code.INVALID_FIELD: ProblemType(422, "Invalid value", "A field has an invalid value; see `errors`."),
    Code.MALFORMED_JSON: ProblemType(
        400, "Malformed JSON", "The body is not a JSON object; check commas, quotes and encoding."
    ),
    Code.INVALID_PROMPT_ID: ProblemType(
        400, "Invalid prompt_id", "Send a lower-case UUID that no other job has, or none."
    ),
    Code.WORKFLOW_FORMAT_UI: ProblemType(
        422, "Workflow in editor format", "Export the workflow with 'Export (API)' in ComfyUI and send that."
    ),
    Code.MISSING_CREDENTIALS: ProblemType(
        401, "API key required", "Send the key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'."
    ),
    Code.INVALID_KEY: ProblemType(401, "Unknown API key", "The key is mistyped or was not issued by this gateway."),
    Code.KEY_EXPIRED: ProblemType(401, "API key expired", "Ask the operator for a new key."),
    Code.KEY_REVOKED: ProblemType(401, "API key revoked", "Ask the operator for a new key."),
    Code.KEY_IN_URL: ProblemType(
        400, "Key in the URL", "URLs end up in logs: send the key in a header; for browsers, request a ticket."
    ),
    Code.USER_DISABLED: ProblemType(401, "User disabled", "An admin has disabled the user that this key belongs to."),
    Code.INVALID_LOGIN: ProblemType(
        401, "Not logged in", "The name or the password is wrong, or the user is disabled."
    ),
    Code.INVALID_TOKEN: ProblemType(401, "Unknown token", "The token was not issued by this gateway; log in again."),
    Code.TOKEN_EXPIRED: ProblemType(401, "Token expired", "Log in again, or refresh a token before it expires."),
    Code.SESSION_ENDED: ProblemType(401, "Session expired", "Log in again."),
    Code.INVALID_TICKET: ProblemType(
        401, "Invalid ticket", "A ticket is valid for one GET of one path within 30 s; request another."
    ),
    Code.SIGNATURE_INVALID: ProblemType(
        401, "Invalid signature", "The URL was changed, or its key was revoked; sign it again."
    ),
    Code.SIGNATURE_EXPIRED: ProblemType(401, "URL expired", "Sign the URL again."),
    Code.INSUFFICIENT_SCOPE: ProblemType(403, "Key lacks the scope", "Ask an admin for a key that has it."),
    Code.MORE_THAN_OWN: ProblemType(403, "Exceeds your permissions", "You can only grant what you have; ask an admin."),
    Code.ORIGIN_NOT_ALLOWED: ProblemType(
        403, "Origin not allowed", "A web page of another origin may not call this route."
    ),
    Code.NOT_FOUND: ProblemType(404, "Not found", "Not found, or not visible to this key."),
    Code.BLOB_NOT_FOUND: ProblemType(404, "Content not found", "You have no file with this hash; upload the bytes."),
    Code.METHOD_NOT_ALLOWED: ProblemType(405, "Method not allowed", "Use one of the methods in the Allow header."),
    Code.REQUEST_TIMEOUT: ProblemType(408, "Request too slow", "The body stopped arriving; send it again."),
    Code.IDEMPOTENCY_CONFLICT: ProblemType(
        409, "Request in progress", "The first request with this Idempotency-Key is still running."
    ),
    Code.HASH_MISMATCH: ProblemType(409, "Hash mismatch", "The received bytes do not have the announced hash."),
    Code.FILE_EXISTS: ProblemType(409, "File exists", "Choose another name, or send overwrite=true."),
    Code.STATE_CONFLICT: ProblemType(409, "State conflict", "It changed in the meantime. Fetch it again and retry."),
    Code.NO_SESSION: ProblemType(409, "No session", "This route is for logged-in users; a key has no session."),
    Code.BODY_TOO_LARGE: ProblemType(413, "Body too large", "Send a smaller body."),
    Code.UNSUPPORTED_MEDIA_TYPE: ProblemType(415, "Unsupported media type", "Send a type that this route accepts."),
    Code.RANGE_NOT_SATISFIABLE: ProblemType(
        416, "Range not satisfiable", "Request a range within the file; see Content-Range."
    ),
    Code.HOST_NOT_ALLOWED: ProblemType(
        421, "Unknown host name", "Use the address that the stack prints as gatewayUrl."
    ),
    Code.INVALID_WORKFLOW: ProblemType(422, "Invalid workflow", "ComfyUI cannot run this workflow; see node_errors."),
    Code.NODE_NOT_ALLOWED: ProblemType(
        422, "Node not allowed", "Remove the node: it could reach files of other users."
    ),
    Code.WORKFLOW_TOO_LARGE: ProblemType(422, "Workflow too large", "Split the workflow into smaller ones."),
    Code.MISSING_ASSET: ProblemType(
        422, "Asset not found", "The workflow names an asset you do not have; upload it first."
    ),
    Code.INVALID_IMAGE: ProblemType(
        422, "Invalid image", "The image is corrupt or truncated; export it again and send that."
    ),
    Code.IMAGE_TOO_MANY_PIXELS: ProblemType(422, "Too many pixels", "Send a smaller image or fewer frames."),
    Code.IDEMPOTENCY_KEY_REUSE: ProblemType(422, "Idempotency-Key reused", "Use a new key for another request."),
    Code.WEBHOOK_URL_FORBIDDEN: ProblemType(
        422, "Webhook URL not allowed", "Use an https:// address on the public internet, on an allowed port."
    ),
    Code.TOO_MANY_WEBHOOKS: ProblemType(409, "Too many webhooks", "Delete one of yours first."),
    Code.UPGRADE_REQUIRED: ProblemType(426, "WebSocket only", "Open this address as a WebSocket."),
    Code.QUOTA_EXHAUSTED: ProblemType(
        402,
        "Budget used up",
        "Wait as long as Retry-After says, until the next day or month, or request a larger quota.",
    ),
    Code.QUOTA_EXCEEDED: ProblemType(
        429,
        "Quota used up",
        "Wait as long as Retry-After says, until the next day or month, or request a larger quota.",
    ),
    Code.RATE_LIMITED: ProblemType(429, "Too many requests", "Wait as long as Retry-After says."),
    Code.CONCURRENCY_LIMITED: ProblemType(
        429, "Too many requests at once", "Wait until one of your requests is answered."
    ),
    Code.TOO_MANY_STREAMS: ProblemType(429, "Too many open streams", "Close one of your WebSockets first."),
    Code.QUEUE_FULL: ProblemType(429, "Queue full", "Wait until one of the unfinished jobs has ended, or cancel one."),
    Code.HEADERS_TOO_LARGE: ProblemType(431, "Headers too large", "Send fewer or shorter headers."),
    Code.INTERNAL_ERROR: ProblemType(
        500, "Internal error", "Send the request id to the operator; the log has the details."
    ),
    Code.UPSTREAM_ERROR: ProblemType(
        502, "ComfyUI failed", "ComfyUI returned an unusable answer; try again, then ask the operator."
    ),
    Code.UPSTREAM_UNAVAILABLE: ProblemType(
        503, "ComfyUI is not available", "It is starting or restarting; try again shortly."
    ),
    Code.STORE_UNAVAILABLE: ProblemType(
        503, "Storage not available", "The gateway cannot store changes at the moment; try again shortly."
    ),
    Code.GPU_FAULT: ProblemType(503, "GPU fault", "Jobs wait while ComfyUI is restarted."),
    Code.UPSTREAM_STUCK: ProblemType(503, "ComfyUI is stuck", "Jobs wait until ComfyUI has been restarted."),
    Code.NOT_READY: ProblemType(
        503, "Not ready", "No jobs are accepted now; /api/gateway/ready gives the reason to a caller with a key."
    ),
    Code.DRAINING: ProblemType(503, "Shutting down", "The gateway is restarting; try again shortly."),
    Code.STANDBY: ProblemType(
        503, "Standby", "The gateway of another pod is active; this one takes over when that one stops."
    ),
    Code.TAKEN_OVER: ProblemType(
        503, "Another gateway took over", "A newer pod serves this environment; ask the operator for its address."
    ),
    Code.STORAGE_FULL: ProblemType(507, "Disk full", "Delete files, or ask the operator for a larger disk."),
    Code.UPSTREAM_TIMEOUT: ProblemType(504, "ComfyUI did not answer in time", "Try again; long work belongs in a job."),
    Code.DEADLINE_EXCEEDED: ProblemType(
        504, "Deadline exceeded", "No answer within 90 s; submit a job and follow it instead."
    ),
}

RETRY_SECONDS: Mapping[Code, float] = {
    Code.UPSTREAM_UNAVAILABLE: 2,
    Code.STORE_UNAVAILABLE: 2,
    Code.GPU_FAULT: 30,
    Code.UPSTREAM_STUCK: 30,
    Code.NOT_READY: 2,
    Code.DRAINING: 5,
    Code.STANDBY: 5,
    Code.TAKEN_OVER: 30,
    Code.STORAGE_FULL: 60,
    Code.IDEMPOTENCY_CONFLICT: 1,
    Code.CONCURRENCY_LIMITED: 1,
    Code.TOO_MANY_STREAMS: 5,
    Code.QUEUE_FULL: 5,
}
"""Seconds a client should wait, unless the exception has a more specific value."""


V2_CODES: Mapping[Code, str] = {
    Code.MISSING_CREDENTIALS: "unauthorized",
    Code.INVALID_KEY: "unauthorized",
    Code.KEY_EXPIRED: "unauthorized",
    Code.KEY_REVOKED: "unauthorized",
    Code.USER_DISABLED: "unauthorized",
    Code.INVALID_TOKEN: "unauthorized",
    Code.TOKEN_EXPIRED: "unauthorized",
    Code.SESSION_ENDED: "unauthorized",
    Code.INVALID_TICKET: "unauthorized",
    Code.SIGNATURE_INVALID: "unauthorized",
    Code.SIGNATURE_EXPIRED: "unauthorized",
    Code.INSUFFICIENT_SCOPE: "forbidden",
    Code.MORE_THAN_OWN: "forbidden",
    Code.ORIGIN_NOT_ALLOWED: "forbidden",
    Code.INVALID_FIELD: "invalid_request",
    Code.MALFORMED_JSON: "invalid_request",
    Code.QUOTA_EXHAUSTED: "insufficient_credits",
}
"""Codes for which the Comfy API v2 has a coarser name."""


class Problem(Exception):  # noqa: N818 - the RFC's own word for it
    """An error response; everything in it may be shown to the client."""

    def __init__(
        self,
        code: Code,
        detail: str | None = None,
        *,
        retry_after: float | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code.value)
        self.code = code
        self.entry = CATALOGUE[code]
        self.detail = detail or self.entry.detail
        self.retry_after = RETRY_SECONDS.get(code) if retry_after is None else retry_after
        self.extra_headers = headers
        self.members = dict(members or {})

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers of the response."""
        headers = [("content-type", CONTENT_TYPE), *self.extra_headers]
        if self.retry_after is not None:
            headers.append(("retry-after", str(whole_seconds(self.retry_after))))
        if self.entry.status == 401:
            headers.append(("www-authenticate", 'Bearer realm="comfyui"'))
        return headers

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the JSON body; its `error` is for clients that expect ComfyUI's own format."""
        code = self.code.value
        error: dict[str, Any] = {"code": code, "type": code, "message": self.detail, "details": "", "extra_info": {}}
        body: dict[str, Any] = {
            "type": f"/errors/{code}",
            "title": self.entry.title,
            "status": self.entry.status,
            "detail": self.detail,
            "instance": f"/requests/{request_id}",
            "code": code,
            "request_id": request_id,
            "error": error,
        }
        if self.retry_after is not None:
            body["retry_after"] = whole_seconds(self.retry_after)
        return body | self.members

    def v2_body(self, request_id: str) -> dict[str, Any]:
        """Return the JSON body with the `error` that clients of the Comfy API v2 read."""
        error = {
            "code": V2_CODES.get(self.code, self.code.value),
            "message": self.detail,
            "details": self.members or None,
        }
        return self.body(request_id) | {"error": error}


def whole_seconds(seconds: float) -> int:
    """Round up, to 1 at least: a client that waits 0 s would be refused again."""
    return max(1, math.ceil(seconds))


def fault(pointer: str, message: str) -> dict[str, Any]:
    """Return the `errors` member for one fault at a JSON pointer, header or query parameter."""
    return {"errors": [{"pointer": pointer, "message": message}]}
