"""When a message that was not taken is sent again, and when it is given up."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from provisioning.gateway.core.time_units import HOUR_MS
from provisioning.gateway.webhooks.records import DeliveryState
from provisioning.gateway.webhooks.sender import Result

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 4 * 3600.0
LEAST_SECONDS = 1.0

GONE = 410
"""The specification's word for "never again"."""

Jitter = Callable[[], float]
"""Returns a number from 0 to 1, anew each time."""


def jitter() -> float:
    """Return a number from 0 to 1, anew each time."""
    return secrets.randbelow(1_000_001) / 1_000_000


@dataclass(frozen=True)
class Disable:
    """When an endpoint is disabled, and what its owner is told."""

    after_ms: int
    reason: str


@dataclass(frozen=True)
class Next:
    """What follows an attempt."""

    state: DeliveryState
    at: int | None
    """When the next attempt is; None when there is none."""
    disable: Disable | None = None


@dataclass(frozen=True)
class Backoff:
    """Exponential back-off with full jitter (AWS Architecture Blog, 2015): receivers that were down are not flooded."""

    give_up_ms: int
    disable_ms: int
    jitter: Jitter = jitter

    def next(self, attempts: int, created_at: int, result: Result, now: int) -> Next:
        """Return what follows the attempt that came behind `attempts` others."""
        if result.taken:
            return Next(DeliveryState.DELIVERED, None)
        if result.status == GONE:
            return Next(DeliveryState.FAILED, None, Disable(0, "it answered 410 Gone"))
        disable = Disable(self.disable_ms, f"it took nothing for {self.disable_ms // HOUR_MS} hours")
        at = now + round(1000 * self._pause(attempts, result.retry_after_s))
        if at > created_at + self.give_up_ms:
            return Next(DeliveryState.FAILED, None, disable)
        return Next(DeliveryState.PENDING, at, disable)

    def _pause(self, attempts: int, asked_s: float | None) -> float:
        # The exponent is bounded before the power: a number of many digits helps nobody.
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts, 32))
        return max(LEAST_SECONDS, self.jitter() * longest, asked_s or 0.0)
