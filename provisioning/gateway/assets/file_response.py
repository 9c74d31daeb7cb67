"""Answering with a file: from the store when it has it, else from ComfyUI."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping

from provisioning.gateway.assets.staging.inputs import InputStaging
from provisioning.gateway.assets.store.content import Content
from provisioning.gateway.assets.store.paths import StoredCopy
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.http import ranges
from provisioning.gateway.core.http.exchange import Exchange
from provisioning.gateway.core.http.operation import ANY_MEDIA, Answer, Parameter
from provisioning.gateway.upstream.client import ComfyUIClient
from provisioning.gateway.upstream.proxy import FORWARDED_REQUEST_HEADERS, Proxy, display_headers

OCTETS = "application/octet-stream"
_KINDS = mimetypes.MimeTypes()
_KINDS.add_type("image/webp", ".webp")
"""As ComfyUI does, whatever the machine knows of types."""
_ACTIVE = frozenset(
    {"text/html", "text/javascript", "application/javascript", "text/css", "image/svg+xml", "text/xml",
     "application/xml"}
)  # fmt: skip
"""Types that a browser would run: ComfyUI gives such files as bytes, and so does the store."""

BYTES = (
    Answer("The file's bytes.", media=ANY_MEDIA),
    Answer("The range of them that was asked for.", status=206, media=ANY_MEDIA),
    Answer("Unchanged since the time or the tag that was sent.", status=304, media=None),
)
"""The answers of an operation that downloads a file."""

RANGES = (
    Parameter("Range", "The bytes that are wanted.", "bytes=0-1023", "header"),
    Parameter("If-Range", "The `ETag` of the part that is there already.", '"4f1c"', "header"),
    Parameter("If-None-Match", "The `ETag` of an earlier answer.", '"4f1c"', "header"),
)
"""The headers of a request for part of a file."""


class FileResponder:
    """Answers requests with files."""

    def __init__(self, store: FileStore | None, staging: InputStaging, upstream: ComfyUIClient) -> None:
        self._store = store
        self._staging = staging
        self._proxy = Proxy(upstream)

    async def send(self, exchange: Exchange, kept: StoredCopy, options: Mapping[str, str] | None = None) -> None:
        """Answer with a file; `options` are ComfyUI's conversions, which it does with the file put back.

        Raises Problem.
        """
        file = kept.file
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type, **(options or {})}
        if self._store is not None and options:
            await self._staging.stage([kept])
        elif self._store is not None:
            async with self._store.opened(kept.place) as content:
                if content is not None:
                    await _send(self._store, exchange, content, file.filename)
                    return
            # What a job made a moment ago, or an older version left in ComfyUI's folders.
            await self._staging.restore(file)
        await self._proxy.pass_on(exchange, "/view", params)


async def _send(store: FileStore, exchange: Exchange, content: Content, name: str) -> None:
    version = ranges.Version(content.tag, content.modified_ns / 1e9, content.size)
    part = ranges.select(exchange.headers_among(FORWARDED_REQUEST_HEADERS), version)
    kind = content_type(name)
    headers = [*version.headers(), ("content-type", kind), *display_headers(kind)]
    if part.status == 206:
        last = part.start + part.length - 1
        headers.append(("content-range", f"bytes {part.start}-{last}/{content.size}"))
    if part.status != 304:
        headers.append(("content-length", str(part.length)))
    await exchange.start(part.status, headers)
    if exchange.method != "HEAD" and part.length:
        async for piece in store.chunks(content, part.start, part.length):
            await exchange.write(piece, more=True)
    await exchange.write(b"", more=False)


def content_type(name: str) -> str:
    """Return the type that ComfyUI gives a file of this name."""
    kind = _KINDS.guess_type(name)[0] or OCTETS
    return OCTETS if kind in _ACTIVE else kind
