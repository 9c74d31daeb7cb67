"""Rate limits by the generic cell rate algorithm: a leaky bucket stored as one number per subject."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import whole_seconds

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Policy:
    """A quota of units per window; a burst may use all of them at once."""

    name: str
    quota: int
    window_seconds: int
    interval: int = field(init=False)
    """Nanoseconds until one unit is restored; an integer, since sums of fractions are inexact."""
    span: int = field(init=False)
    """Nanoseconds until all units are restored."""
    text: str = field(init=False)
    """The policy in the form of the RateLimit-Policy header."""

    def __post_init__(self) -> None:
        """Compute once what every request needs."""
        interval = self.window_seconds * NANOSECONDS // self.quota
        object.__setattr__(self, "interval", interval)
        object.__setattr__(self, "span", interval * self.quota)
        object.__setattr__(self, "text", f'"{self.name}";q={self.quota};w={self.window_seconds}')


class RateDecision(NamedTuple):
    """The limiter's decision on one request for one policy."""

    policy: Policy
    allowed: bool
    remaining: int
    """Units left now."""
    reset_seconds: float
    """When allowed: until all units are restored. When refused: until one unit is."""


def headers(verdicts: Sequence[RateDecision]) -> list[tuple[str, str]]:
    """Return the RateLimit headers of the IETF draft (draft-ietf-httpapi-ratelimit-headers-10).

    Every policy is listed; the remaining requests are those of the policy that would refuse first.
    """
    policies = ", ".join([verdict.policy.text for verdict in verdicts])
    least = min(verdicts, key=_nearness)
    reset = whole_seconds(least.reset_seconds)
    return [("ratelimit-policy", policies), ("ratelimit", f'"{least.policy.name}";r={least.remaining};t={reset}')]


def _nearness(verdict: RateDecision) -> tuple[bool, int, float]:
    return verdict.allowed, verdict.remaining, -verdict.reset_seconds


class Limiter:
    """Holds the buckets in memory: losing them at a restart forgives one minute of requests at most."""

    def __init__(self, clock: Clock, *, max_buckets: int = 100_000) -> None:
        self._clock = clock
        self._max_buckets = max_buckets
        self._arrivals: OrderedDict[tuple[str, str], int] = OrderedDict()

    def take(self, policy: Policy, subject: str) -> RateDecision:
        """Take one unit of `policy` for `subject`, or return when one will be available."""
        return self.take_all([(policy, subject)])[0]

    def take_all(self, wanted: Sequence[tuple[Policy, str]]) -> list[RateDecision]:
        """Take one unit of every policy for its subject, or no unit at all when one policy is exhausted."""
        now = round(self._clock.monotonic() * NANOSECONDS)
        arrivals, filled, fits = self._arrivals, [], True
        for policy, subject in wanted:
            # The policy's name is part of the key: two policies must never share a bucket.
            bucket = (policy.name, subject)
            arrival = arrivals.get(bucket, now)
            level = arrival - now if arrival > now else 0
            if level + policy.interval > policy.span:
                fits = False
            filled.append((policy, bucket, level))
        if not fits:
            return [_refused(policy, level) for policy, _, level in filled]
        verdicts = []
        for policy, bucket, before in filled:
            level = before + policy.interval
            arrivals[bucket] = now + level
            arrivals.move_to_end(bucket)
            left = (policy.span - level) // policy.interval
            verdicts.append(RateDecision(policy, allowed=True, remaining=left, reset_seconds=level / NANOSECONDS))
        while len(arrivals) > self._max_buckets:
            arrivals.popitem(last=False)
        return verdicts

    def give_back(self, taken: Sequence[tuple[Policy, str]]) -> None:
        """Return one unit to every policy that it was taken from."""
        for policy, subject in taken:
            bucket = (policy.name, subject)
            if bucket in self._arrivals:
                self._arrivals[bucket] -= policy.interval


def _refused(policy: Policy, filled: int) -> RateDecision:
    """Return the decision for a request that takes no unit, because this or another policy refused it."""
    lacking = filled + policy.interval - policy.span
    if lacking > 0:
        return RateDecision(policy, allowed=False, remaining=0, reset_seconds=lacking / NANOSECONDS)
    remaining = (policy.span - filled) // policy.interval
    return RateDecision(policy, allowed=True, remaining=remaining, reset_seconds=filled / NANOSECONDS)
