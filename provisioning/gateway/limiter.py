"""Rate limits by the generic cell rate algorithm: a leaky bucket kept as one number per subject."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from provisioning.gateway.clock import Clock
from provisioning.gateway.problems import whole_seconds

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Policy:
    """So many units per window, all of which may come at once."""

    name: str
    quota: int
    window_seconds: int

    @property
    def interval(self) -> int:
        """Return the nanoseconds that one unit takes to come back; whole, since sums of fractions do not come out."""
        return self.window_seconds * NANOSECONDS // self.quota


@dataclass(frozen=True)
class Verdict:
    """What the limiter says to one request."""

    policy: Policy
    allowed: bool
    remaining: int
    """Units that are left now."""
    reset_seconds: float
    """When allowed: until all units are back. When refused: until one is."""

    def headers(self) -> list[tuple[str, str]]:
        """Return the RateLimit headers of the IETF draft (draft-ietf-httpapi-ratelimit-headers-10)."""
        policy, reset = self.policy, whole_seconds(self.reset_seconds)
        return [
            ("ratelimit-policy", f'"{policy.name}";q={policy.quota};w={policy.window_seconds}'),
            ("ratelimit", f'"{policy.name}";r={self.remaining};t={reset}'),
        ]


class Limiter:
    """Holds the buckets; in memory, since a restart may forgive a minute's requests."""

    def __init__(self, clock: Clock, *, max_buckets: int = 100_000) -> None:
        self._clock = clock
        self._max_buckets = max_buckets
        self._arrivals: OrderedDict[tuple[str, str], int] = OrderedDict()

    def take(self, policy: Policy, subject: str) -> Verdict:
        """Take one unit of `policy` for `subject`, or say when there is one."""
        now = round(self._clock.monotonic() * NANOSECONDS)
        # The policy's name is part of the key: two policies must never share a bucket.
        bucket = (policy.name, subject)
        full_again = max(self._arrivals.get(bucket, now), now) + policy.interval
        room = policy.interval * policy.quota - (full_again - now)
        if room < 0:
            return Verdict(policy, allowed=False, remaining=0, reset_seconds=-room / NANOSECONDS)
        self._remember(bucket, full_again)
        reset = (full_again - now) / NANOSECONDS
        return Verdict(policy, allowed=True, remaining=room // policy.interval, reset_seconds=reset)

    def _remember(self, bucket: tuple[str, str], full_again: int) -> None:
        self._arrivals[bucket] = full_again
        self._arrivals.move_to_end(bucket)
        if len(self._arrivals) > self._max_buckets:
            self._arrivals.popitem(last=False)
