"""Delays refusals during a flood, so that clients that retry at once leave CPU time for the others."""

from __future__ import annotations

STATUSES = frozenset({401, 429, 503})
"""Refusals after which a client that retries at once is refused again."""


class RefusalThrottle:
    """Delays refusals when there are many."""

    def __init__(self, per_second: float, burst: int, most_seconds: float) -> None:
        """Send `burst` refusals at once, later ones at `per_second`; the longest delay is `most_seconds`."""
        self._most_seconds = most_seconds
        self._per_second = per_second
        self._burst = burst
        self._free_at = 0.0

    def delay(self, now: float) -> float:
        """Return the delay in seconds of a refusal at `now`, which is in seconds of a monotonic clock."""
        wait, free = max(self._free_at - now, 0.0), self._burst / self._per_second
        if wait < free + self._most_seconds:
            self._free_at = now + wait + 1 / self._per_second
        return min(max(wait - free, 0.0), self._most_seconds)
