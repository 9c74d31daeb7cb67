"""The clock, passed in so that tests can control the time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The source of time of the gateway."""

    def now_ms(self) -> int:
        """Return milliseconds since the epoch, UTC: for stored times."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards: for limits and durations."""


class SystemClock:
    """The clock of the operating system."""

    def now_ms(self) -> int:
        """Return milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return time.monotonic()
