"""Server-sent events on the wire (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import zlib

HEADERS = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}
"""The last one asks nginx and its like to pass events on as they come."""

KEEP_ALIVE = b": keep-alive\n\n"

RETRY_MS = 1000
RETRY_SPREAD_MS = 2000


def frame(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """Return one event; `data` is JSON, which has no line breaks. Without an id the reader keeps the last one."""
    event = b"event: %b\ndata: %b\n\n" % (name.encode(), data)
    return event if event_id is None else b"id: %b\n%b" % (event_id.encode(), event)


def retry(request_id: str) -> bytes:
    """Return when to come back after a cut: another moment for each, or all would come at once after a restart."""
    return b"retry: %d\n\n" % (RETRY_MS + zlib.crc32(request_id.encode()) % RETRY_SPREAD_MS)
