"""Answering with a file: from the store when it has it, else from ComfyUI."""

from __future__ import annotations

import asyncio
import mimetypes
import time
from collections.abc import AsyncIterator, Callable, Mapping

from provisioning.gateway.files.content import Content
from provisioning.gateway.files.places import Kept, place_of
from provisioning.gateway.files.store import FileStore
from provisioning.gateway.handlers.passing import FORWARDED_REQUEST_HEADERS, display_headers, pass_on
from provisioning.gateway.jobs.job import StoredFile
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.web import ranges
from provisioning.gateway.web.exchange import Exchange

RETRY_SECONDS = 1.0
"""For so long an upload is tried again on a volume that gives errors."""
PAUSE_SECONDS = 0.1

OCTETS = "application/octet-stream"
_KINDS = mimetypes.MimeTypes()
_KINDS.add_type("image/webp", ".webp")
"""As ComfyUI does, whatever the machine knows of types."""
_ACTIVE = frozenset(
    {"text/html", "text/javascript", "application/javascript", "text/css", "image/svg+xml", "text/xml",
     "application/xml"}
)  # fmt: skip
"""Types that a browser would run: ComfyUI gives such files as bytes, and so does the store."""


async def send(services: Services, exchange: Exchange, kept: Kept, options: Mapping[str, str] | None = None) -> None:
    """Answer with a file; `options` are ComfyUI's conversions, which it does with the file put back. Raises Problem."""
    file = kept.file
    params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type, **(options or {})}
    if services.files is None:
        await pass_on(services, exchange, "/view", params)
    elif options:
        await services.placing.place([kept])
        await pass_on(services, exchange, "/view", params)
    else:
        async with services.files.opened(kept.place) as content:
            if content is not None:
                await _send(services.files, exchange, content, file.filename)
                return
        # What a job made a moment ago, or an older version left in ComfyUI's folders.
        await services.placing.mend(file)
        await pass_on(services, exchange, "/view", params)


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


async def keep_upload(services: Services, file: StoredFile, content: Callable[[], AsyncIterator[bytes]]) -> None:
    """Have a file that ComfyUI was given in the store as well; `content` gives it anew each time. Raises Problem."""
    if services.files is None:
        return
    try:
        await _put(services.files, file, content)
    except BaseException:
        # Until somebody uploads it again the store's file counts, if there is one.
        services.placing.lacks(file)
        raise
    services.placing.has(Kept(file, place_of(file)))


async def _put(store: FileStore, file: StoredFile, content: Callable[[], AsyncIterator[bytes]]) -> None:
    """Try a few times while the volume gives errors; a volume that stalls has its own bound."""
    began = time.monotonic()
    while True:
        try:
            await store.put(place_of(file), content())
        except Problem as problem:
            if problem.code is not Code.STORE_UNAVAILABLE or time.monotonic() - began > RETRY_SECONDS:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


def content_type(name: str) -> str:
    """Return the type that ComfyUI gives a file of this name."""
    kind = _KINDS.guess_type(name)[0] or OCTETS
    return OCTETS if kind in _ACTIVE else kind
