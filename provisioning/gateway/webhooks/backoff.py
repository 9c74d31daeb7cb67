"""When a failed delivery is retried, and when it is given up."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from provisioning.gateway.core.time_units import HOUR_MS
from provisioning.gateway.webhooks.records import DeliveryState
from provisioning.gateway.webhooks.sender import AttemptResult

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 4 * 3600.0
LEAST_SECONDS = 1.0

GONE = 410
"""The status by which a receiver refuses all further messages (Standard Webhooks)."""

Jitter = Callable[[], float]
"""Returns a random number from 0 to 1."""


def jitter() -> float:
    """Return a random number from 0 to 1."""
    return secrets.randbelow(1_000_001) / 1_000_000


@dataclass(frozen=True)
class Disable:
    """After how long an endpoint is disabled, and the reason given to its owner."""

    after_ms: int
    reason: str


@dataclass(frozen=True)
class NextStep:
    """What follows an attempt."""

    state: DeliveryState
    at: int | None
    """When to try again, in milliseconds since the epoch; None for never."""
    disable: Disable | None = None


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with full jitter (AWS Architecture Blog, 2015), to spare a recovering receiver."""

    give_up_ms: int
    disable_ms: int
    jitter: Jitter = jitter

    def next(self, attempts: int, created_at: int, result: AttemptResult, now: int) -> NextStep:
        """Return the next step after an attempt that followed `attempts` others."""
        if result.accepted:
            return NextStep(DeliveryState.DELIVERED, None)
        if result.status == GONE:
            return NextStep(DeliveryState.FAILED, None, Disable(0, "it answered 410 Gone"))
        disable = Disable(self.disable_ms, f"it accepted no message for {self.disable_ms // HOUR_MS} hours")
        at = now + round(1000 * self._pause(attempts, result.retry_after_s))
        if at > created_at + self.give_up_ms:
            return NextStep(DeliveryState.FAILED, None, disable)
        return NextStep(DeliveryState.PENDING, at, disable)

    def _pause(self, attempts: int, asked_s: float | None) -> float:
        # The exponent is bounded so that the power does not grow to a huge number.
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts, 32))
        return max(LEAST_SECONDS, self.jitter() * longest, asked_s or 0.0)
