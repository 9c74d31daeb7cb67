"""Time, handed in so that tests can move it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the gateway reads the time from."""

    def now_ms(self) -> int:
        """Return milliseconds since the epoch, UTC: for what is written down."""

    def monotonic(self) -> float:
        """Return seconds that never step back: for limits and durations."""


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Return milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds that never step back."""
        return time.monotonic()
