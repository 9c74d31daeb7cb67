"""The format of server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import zlib

HEADERS = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}
"""The last header disables buffering in nginx and similar proxies."""

KEEP_ALIVE = b": keep-alive\n\n"

RETRY_MS = 1000
RETRY_SPREAD_MS = 2000


def frame(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """Return one event; `data` is JSON without line breaks. Without an id, the client keeps the last one."""
    event = b"event: %b\ndata: %b\n\n" % (name.encode(), data)
    return event if event_id is None else b"id: %b\n%b" % (event_id.encode(), event)


def retry(request_id: str) -> bytes:
    """Return the delay before a reconnect, which varies, so that clients do not all return at once after a restart."""
    return b"retry: %d\n\n" % (RETRY_MS + zlib.crc32(request_id.encode()) % RETRY_SPREAD_MS)
