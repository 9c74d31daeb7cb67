"""uvicorn's WebSocket protocol with a bound on what a client sends.

Handlers count whole messages, which alone they see. uvicorn answers pings as fast as they come and keeps the parts of a
message, of which empty ones have no bound; it has no option for either, and nginx reads no frames.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_BYTES = 1024 * 1024
"""What a client may send in PERIOD_SECONDS; pings and pongs of honest ones take some hundred bytes."""
PERIOD_SECONDS = 60.0

MAX_PARTS = 256
"""Frames of one message; uvicorn keeps each until the last has come, and empty ones count for no size."""


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """Cuts off a client that floods."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own signature
        super().__init__(*args, **kwargs)
        self._bytes = 0
        self._counted_from = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Read frames, or close the connection when there are too many."""
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
