"""How fast clients are refused that ask again at once, so that a flood of them leaves the others their time."""

from __future__ import annotations

STATUSES = frozenset({401, 429, 503})
"""Refusals after which a client that asks again at once is refused again."""

PER_SECOND = 300
"""Refusals of a flood; what they leave of the time is for those who are let in, and for `/livez`."""

BURST = 100
"""So many are refused at once before any waits: nobody else ever notices."""

MOST_SECONDS = 1.0
"""No refusal waits longer: a Retry-After is at least as long."""


class RefusalThrottle:
    """Delays refusals once there are many."""

    def __init__(self) -> None:
        self._free_at = 0.0

    def delay(self, now: float) -> float:
        """Return how many seconds a refusal is to wait that is ready now, by any clock that never steps back."""
        wait, free = max(self._free_at - now, 0.0), BURST / PER_SECOND
        if wait < free + MOST_SECONDS:
            self._free_at = now + wait + 1 / PER_SECOND
        return min(max(wait - free, 0.0), MOST_SECONDS)
