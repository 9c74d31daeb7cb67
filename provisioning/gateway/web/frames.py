"""uvicorn's WebSocket protocol with what it leaves open closed: floods of frames that are no messages, odd handshakes.

Whole messages are counted by the handlers, which know whose they are. Pings, pongs and parts of messages never get
there, and uvicorn answers and keeps them as fast as they come.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

MAX_FRAMES = 600
"""Pings, pongs and parts of messages in FRAME_SECONDS; browsers send none, other clients a ping every 20 seconds."""
FRAME_SECONDS = 60.0


class GuardedSocket(WebSocketsSansIOProtocol):
    """Cuts off a client that floods."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own signature
        super().__init__(*args, **kwargs)
        self._frames = 0
        self._counted_from = self.loop.time()

    def handle_ping(self) -> None:
        """Answer a ping."""
        if self._is_welcome():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take a pong, asked for or not."""
        if self._is_welcome():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a further part of a message; empty ones have no limit of their own, and would be kept."""
        if self._is_welcome():
            super().handle_cont(event)

    def handle_parser_exception(self) -> None:
        """Hang up on what is no WebSocket, with a closing frame once the handshake is over."""
        if self.conn.close_sent is None:
            self.transport.close()
        else:
            super().handle_parser_exception()

    def _is_welcome(self) -> bool:
        """Count a frame; False when the client has been cut off, now or before."""
        if self.transport.is_closing():
            return False
        now = self.loop.time()
        if now - self._counted_from >= FRAME_SECONDS:
            self._frames, self._counted_from = 0, now
        self._frames += 1
        if self._frames <= MAX_FRAMES:
            return True
        self.conn.fail(CloseCode.POLICY_VIOLATION, "too many frames")
        self.handle_parser_exception()
        return False
