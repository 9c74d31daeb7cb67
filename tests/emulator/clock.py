"""The emulator's time: the machine's, moved forward on request, so that no test waits for a day to pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Unix time plus what was advanced; everything the emulator dates or waits for asks it."""

    def __init__(self, base: Callable[[], float] = time.time, offset: float = 0.0) -> None:
        self._base = base
        self.offset = offset
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Return the current Unix time in seconds."""
        return self._base() + self.offset

    def advance(self, seconds: float) -> None:
        """Move time forward and wake everybody who waits; ValueError when asked to go back."""
        if seconds < 0:
            raise ValueError(f"the clock only goes forward, not by {seconds} s")
        self.offset += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait until that many seconds have passed on this clock."""
        until = self.now() + seconds
        while (left := until - self.now()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), left)
            except TimeoutError:
                continue


def iso(seconds: float) -> str:
    """Return a Unix time in RFC 3339 form with milliseconds, as the API sends it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> float:
    """Return the Unix time of an RFC 3339 text; ValueError on anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return moment.timestamp()
