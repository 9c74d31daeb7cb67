"""A subscription: one open stream that reads a channel from a cursor on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

from provisioning.gateway.events.channels import Channel, NumberedEvent

TOO_SLOW = "too_slow"
"""The reader fell further behind than events are kept."""


DRAINING = "draining"
"""The gateway is about to stop."""


class EndedError(Exception):
    """The stream is over; `reason` is for the reader to know."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Subscription:
    """Reads on from a place, each event once and in order."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._number = number
        self._woken = asyncio.Event()
        self._reason: str | None = None

    def __enter__(self) -> Self:
        self._channel.readers.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.readers.discard(self)

    def wake(self) -> None:
        """Take note that something is there to read."""
        self._woken.set()

    def end(self, reason: str) -> None:
        """Have the stream end: for DRAINING behind what is there to read, for every other reason at once."""
        self._reason = self._reason or reason
        self._woken.set()

    async def read(self, timeout_seconds: float) -> list[NumberedEvent]:
        """Return what came since the last call; nothing when nothing came for so long. Raises EndedError."""
        self._woken.clear()
        found = self._next()
        if not found:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self._woken.wait()
            found = self._next()
        return found

    def _next(self) -> list[NumberedEvent]:
        if self._reason not in {None, DRAINING}:
            raise EndedError(str(self._reason))
        found = self._channel.after(self._number)
        if found is None:
            raise EndedError(TOO_SLOW)
        if not found and self._reason is not None:
            raise EndedError(self._reason)
        self._number = self._channel.number
        return found
