"""uvicorn's WebSocket protocol with limits on what a client sends.

Handlers limit whole messages, which is all they see. uvicorn answers pings at any rate and buffers the fragments of a
message, without a limit on empty ones; it has no option for either, and nginx does not parse frames.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_BYTES = 1024 * 1024
"""Bytes that a client may send in PERIOD_SECONDS; pings and pongs of a normal client take a few hundred."""
PERIOD_SECONDS = 60.0

MAX_PARTS = 256
"""Most frames of a message: uvicorn buffers them until the last one, and its size limit ignores empty frames."""


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """Disconnects a client that exceeds the limits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own signature
        super().__init__(*args, **kwargs)
        self._bytes = 0
        self._counted_from = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Handle received bytes, or close the connection when a limit is exceeded."""
        now = self.loop.time()
        if now - self._counted_from >= PERIOD_SECONDS:
            self._bytes, self._counted_from = 0, now
        self._bytes += len(data)
        if self._bytes > MAX_BYTES:
            self.transport.abort()
        else:
            super().data_received(data)
            if len(self.frames) > MAX_PARTS:
                self.transport.abort()
