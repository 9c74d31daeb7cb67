"""Retry times: full jitter, Retry-After, and RateLimit headers that are observed before the limit is reached."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_WINDOW = re.compile(r'"(?P<name>[^"]+)"\s*;\s*r=(?P<left>\d+)\s*;\s*t=(?P<reset>\d+)')


@dataclass(frozen=True)
class RetryPolicy:
    """Limits of one call with all its retries."""

    attempts: int = 6
    seconds: float = 120.0
    """Total of all waits."""
    first_wait: float = 0.5
    longest_wait: float = 20.0


def jitter(retry_policy: RetryPolicy, attempt: int, draw: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait after `attempt` (from 0) failed: random, up to an exponentially growing limit."""
    return draw() * min(retry_policy.longest_wait, retry_policy.first_wait * 2.0**attempt)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in Retry-After; None when it is absent or a date."""
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isdigit() else None


def exhausted_for(headers: Mapping[str, str]) -> float:
    """Return the seconds until every exhausted window resets; 0 when no window is exhausted."""
    windows = _WINDOW.finditer(headers.get("RateLimit", ""))
    return max((float(window["reset"]) for window in windows if window["left"] == "0"), default=0.0)


class RateLimitGate:
    """Delays calls while a rate-limit window is exhausted; shared by all threads of a client."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._opens_at = 0.0
        self._lock = threading.Lock()

    def note(self, headers: Mapping[str, str]) -> None:
        """Update from the headers of an answer."""
        wait = exhausted_for(headers)
        if wait:
            with self._lock:
                self._opens_at = max(self._opens_at, self._clock() + wait)

    def wait_needed(self) -> float:
        """Return the seconds until the next call is allowed."""
        with self._lock:
            return max(0.0, self._opens_at - self._clock())
