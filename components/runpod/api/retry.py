"""When to call again: full jitter, Retry-After, and RateLimit headers obeyed before the limit is hit."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_WINDOW = re.compile(r'"(?P<name>[^"]+)"\s*;\s*r=(?P<left>\d+)\s*;\s*t=(?P<reset>\d+)')


@dataclass(frozen=True)
class RetryPolicy:
    """Bounds of one call with all its retries."""

    attempts: int = 6
    seconds: float = 120.0
    """Total of all waits."""
    first_wait: float = 0.5
    longest_wait: float = 20.0


def jitter(retry_policy: RetryPolicy, attempt: int, draw: Callable[[], float] = random.random) -> float:
    """Return how long to wait after `attempt` (from 0) failed: anything up to the doubled bound, in seconds."""
    return draw() * min(retry_policy.longest_wait, retry_policy.first_wait * 2.0**attempt)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds the server asks us to wait; None when it does not say, or says it as a date."""
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isdigit() else None


def exhausted_for(headers: Mapping[str, str]) -> float:
    """Return the seconds until every used-up window opens again; 0 when calls are left in all of them."""
    windows = _WINDOW.finditer(headers.get("RateLimit", ""))
    return max((float(window["reset"]) for window in windows if window["left"] == "0"), default=0.0)


class RateLimitGate:
    """Holds calls back while a rate-limit window is used up; shared by all threads of a client."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._opens_at = 0.0
        self._lock = threading.Lock()

    def note(self, headers: Mapping[str, str]) -> None:
        """Take in the headers of an answer."""
        wait = exhausted_for(headers)
        if wait:
            with self._lock:
                self._opens_at = max(self._opens_at, self._clock() + wait)

    def wait_needed(self) -> float:
        """Return the seconds until the next call may go out."""
        with self._lock:
            return max(0.0, self._opens_at - self._clock())
