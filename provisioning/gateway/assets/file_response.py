"""Responses with a file: from the store if it has the file, else from ComfyUI."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping

from starlette.responses import Response, StreamingResponse

from provisioning.gateway.assets.staging.inputs import InputStaging
from provisioning.gateway.assets.store.content import Content
from provisioning.gateway.assets.store.paths import StoredCopy
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.http import ranges
from provisioning.gateway.core.http.operation import ANY_MEDIA, Answer, Parameter
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.upstream.client import ComfyUIClient
from provisioning.gateway.upstream.proxy import FORWARDED_REQUEST_HEADERS, Proxy, display_headers

OCTETS = "application/octet-stream"
_KINDS = mimetypes.MimeTypes()
_KINDS.add_type("image/webp", ".webp")
"""Media types as in ComfyUI, independent of the machine's configuration."""
_ACTIVE = frozenset(
    {"text/html", "text/javascript", "application/javascript", "text/css", "image/svg+xml", "text/xml",
     "application/xml"}
)  # fmt: skip
"""Types that a browser would execute: ComfyUI and the store serve such files as application/octet-stream."""

BYTES = (
    Answer("The file's bytes.", media=ANY_MEDIA),
    Answer("The requested range of the bytes.", status=206, media=ANY_MEDIA),
    Answer("Unchanged since the time or entity tag in the request.", status=304, media=None),
)
"""The responses of an operation that downloads a file."""

RANGES = (
    Parameter("Range", "The requested bytes.", "bytes=0-1023", "header"),
    Parameter("If-Range", "The `ETag` of the part that the client already has.", '"4f1c"', "header"),
    Parameter("If-None-Match", "The `ETag` of an earlier response.", '"4f1c"', "header"),
)
"""The headers of a request for part of a file."""


class FileResponder:
    """Answers requests with files."""

    def __init__(self, store: FileStore | None, staging: InputStaging, upstream: ComfyUIClient) -> None:
        self._store = store
        self._staging = staging
        self._proxy = Proxy(upstream)

    async def respond(
        self, request: GatewayRequest, kept: StoredCopy, options: Mapping[str, str] | None = None
    ) -> Response:
        """Return the answer with a file; `options` are ComfyUI's conversions, which it does with the file put back.

        Raises Problem.
        """
        file = kept.file
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type, **(options or {})}
        if self._store is not None and options:
            await self._staging.stage([kept])
        elif self._store is not None:
            content = await request.held.enter_async_context(self._store.opened(kept.place))
            if content is not None:
                return _answer(self._store, request, content, file.filename)
            # The output of a job that has just ended, or a file from before there was a store.
            await self._staging.restore(file)
        return await self._proxy.pass_on(request, "/view", params)


def _answer(store: FileStore, request: GatewayRequest, content: Content, name: str) -> Response:
    version = ranges.Version(content.tag, content.modified_ns / 1e9, content.size)
    part = ranges.select(request.headers_among(FORWARDED_REQUEST_HEADERS), version)
    kind = content_type(name)
    headers = {**version.headers(), "content-type": kind, **display_headers(kind)}
    if part.status == 304:
        return Response(status_code=304, headers=headers)
    if part.status == 206:
        headers["content-range"] = f"bytes {part.start}-{part.start + part.length - 1}/{content.size}"
    headers["content-length"] = str(part.length)
    return StreamingResponse(store.chunks(content, part.start, part.length), part.status, headers)


def content_type(name: str) -> str:
    """Return ComfyUI's media type for a file name."""
    kind = _KINDS.guess_type(name)[0] or OCTETS
    return OCTETS if kind in _ACTIVE else kind
