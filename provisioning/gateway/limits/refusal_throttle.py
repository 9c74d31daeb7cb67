"""How fast clients are refused that ask again at once, so that a flood of them leaves the others their time."""

from __future__ import annotations

STATUSES = frozenset({401, 429, 503})
"""Refusals after which a client that asks again at once is refused again."""


class RefusalThrottle:
    """Delays refusals once there are many."""

    def __init__(self, per_second: float, burst: int, most_seconds: float) -> None:
        """Answer `burst` refusals at once and `per_second` after them; delay none by more than `most_seconds`."""
        self._most_seconds = most_seconds
        self._per_second = per_second
        self._burst = burst
        self._free_at = 0.0

    def delay(self, now: float) -> float:
        """Return how many seconds a refusal is to wait that is ready now, by any clock that never steps back."""
        wait, free = max(self._free_at - now, 0.0), self._burst / self._per_second
        if wait < free + self._most_seconds:
            self._free_at = now + wait + 1 / self._per_second
        return min(max(wait - free, 0.0), self._most_seconds)
