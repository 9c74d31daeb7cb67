"""A reverse proxy for single requests: streams ComfyUI's responses without internal details."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

import orjson
from starlette.responses import Response, StreamingResponse

from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import ComfyUIClient, Reply, Request

FORWARDED_REQUEST_HEADERS = frozenset({"range", "if-range", "if-none-match", "if-modified-since"})
"""The client's headers that are forwarded to ComfyUI: no origin, cookie, key or `comfy-user`."""

FORWARDED_REPLY_HEADERS = ("content-type", "content-range", "accept-ranges", "etag", "last-modified")
STREAMED_REPLY_HEADERS = (*FORWARDED_REPLY_HEADERS, "content-length")
"""Response headers except the length, which is computed for a body sent in one piece."""

_ERRORS: Mapping[int, Code] = {400: Code.INVALID_REQUEST, 404: Code.NOT_FOUND, 416: Code.RANGE_NOT_SATISFIABLE}


def segment(text: str) -> str:
    """Return a decoded path segment encoded for ComfyUI's URL."""
    return quote(text, safe="")


def asked_path(request: GatewayRequest) -> str:
    """Return ComfyUI's path for a route of the same name, with its parameters inserted."""
    path = request.context.route.removeprefix("/comfy/api")
    for name, value in request.path_params.items():
        # Only the path of a user's file may contain an escaped slash; for ComfyUI, too, it is one segment.
        path = path.replace(f"{{{name}}}", segment(value.replace("%2F", "/")))
    return path


class Proxy:
    """Answers requests with ComfyUI's responses."""

    def __init__(self, upstream: ComfyUIClient) -> None:
        self._upstream = upstream

    async def pass_on(
        self, request: GatewayRequest, path: str, params: Mapping[str, str] | None = None, *, only_json: bool = False
    ) -> Response:
        """Return what ComfyUI answers to a GET; its error texts stay inside.

        Raises Problem, UPSTREAM_ERROR also for what is no JSON where nothing else was asked for: a page, half an
        answer.
        """
        headers = request.headers_among(FORWARDED_REQUEST_HEADERS)
        if "range" in headers:
            await self._judge_range(path, params, headers)
        asked = self._upstream.stream(Request(request.method, path, params, headers))
        reply = await request.held.enter_async_context(asked)
        _check_status(reply)
        kind = reply.headers.get("content-type", "")
        if only_json and reply.status == 200 and not kind.startswith("application/json"):
            raise Problem(Code.UPSTREAM_ERROR)
        if (body := await reply.small()) is not None:
            _check_json(body, wanted=only_json and reply.status == 200)
            return Response(body, reply.status, kept_headers(reply, FORWARDED_REPLY_HEADERS) | display_headers(kind))
        kept = kept_headers(reply, STREAMED_REPLY_HEADERS) | display_headers(kind)
        return StreamingResponse(reply.chunks, reply.status, kept)

    async def _judge_range(self, path: str, params: Mapping[str, str] | None, headers: dict[str, str]) -> None:
        """Evaluate an If-Range header with an entity tag, which ComfyUI's server supports with dates only."""
        tag = headers.get("if-range", "")
        if not tag.startswith(('"', "W/")):
            return
        async with self._upstream.stream(Request("HEAD", path, params)) as reply:
            same = reply.headers.get("etag") == tag and not tag.startswith("W/")
        # RFC 9110, 13.1.5: a weak tag never matches; without a match the whole file is sent.
        del headers["if-range" if same else "range"]


def _check_status(reply: Reply) -> None:
    """Raise Problem for a response that must not be passed on."""
    if reply.status not in {200, 206, 304}:
        whole = [("content-range", header_text(reply.headers["content-range"]))] if reply.status == 416 else []
        raise Problem(_ERRORS.get(reply.status, Code.UPSTREAM_ERROR), headers=tuple(whole))


def _check_json(body: bytes, *, wanted: bool) -> None:
    # Longer bodies are streamed unchecked; only their announced length is enforced.
    try:
        _ = orjson.loads(body) if wanted and body else None
    except orjson.JSONDecodeError as error:
        raise Problem(Code.UPSTREAM_ERROR) from error


def kept_headers(reply: Reply, names: Iterable[str]) -> dict[str, str]:
    """Return those headers of ComfyUI's answer that are passed on."""
    return {name: header_text(reply.headers[name]) for name in names if name in reply.headers}


def header_text(value: str) -> str:
    """Return a header's value without the characters that a header cannot have."""
    return value.encode("latin-1", "replace").decode("latin-1")


def display_headers(content_type: str) -> dict[str, str]:
    """Return the headers that prevent a browser from executing a file."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return {}
    caching = {"cache-control": "private, no-cache"}
    passive = kind.startswith(("image/", "video/", "audio/")) and kind != "image/svg+xml"
    return caching if passive else caching | {"content-disposition": "attachment"}
