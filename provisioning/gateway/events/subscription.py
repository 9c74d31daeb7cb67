"""A subscription: one open stream that reads a channel from a cursor on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

from provisioning.gateway.events.channels import Channel, NumberedEvent

TOO_SLOW = "too_slow"
"""The reader is so slow that its next event is no longer kept."""


DRAINING = "draining"
"""The gateway is about to stop."""


class EndedError(Exception):
    """The stream has ended; `reason` is sent to the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Subscription:
    """Reads the events after a number, each once and in order."""

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
        """Wake the reader, since the channel has a new event."""
        self._woken.set()

    def end(self, reason: str) -> None:
        """End the stream: for DRAINING after the events already published, for any other reason at once."""
        self._reason = self._reason or reason
        self._woken.set()

    async def read(self, timeout_seconds: float) -> list[NumberedEvent]:
        """Return the events since the last call, empty when none came within `timeout_seconds`. Raises EndedError."""
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
