"""Problems for exceeded quotas: the quota, the time of its reset, and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from provisioning.contract.gateway_options import Unit
from provisioning.gateway.core.problems import Code, Problem, whole_seconds
from provisioning.gateway.usage.balance import Balance
from provisioning.gateway.usage.calendar import Window
from provisioning.gateway.usage.quotas import Quota, Subject
from provisioning.gateway.usage.units import MEASURES, of_unit, to_display

_SUBJECTS = {Subject.USER: "your user", Subject.KEY: "this key"}
_WORDS = {Unit.GPU_SECONDS: "GPU seconds", Unit.USD: "US dollars"}


@dataclass(frozen=True)
class Violation:
    """A quota that the request would exceed."""

    quota: Quota
    window: Window
    balance: Balance


def refusal(violations: Sequence[Violation], now: int) -> Problem:
    """Return the error: 402 when only money is missing, 429 otherwise; Retry-After is the end of the last window."""
    last = max(violations, key=lambda violation: violation.window.end)
    money = all(violation.quota.unit is Unit.USD for violation in violations)
    return Problem(
        Code.QUOTA_EXHAUSTED if money else Code.QUOTA_EXCEEDED,
        " ".join(map(_sentence, violations))
        + f" Wait until {_moment(last.window.end)}, or ask the operator to raise the limit.",
        retry_after=(last.window.end - now) / 1000,
        headers=_headers(violations, now),
        members={"violated-policies": [violation.quota.name for violation in violations]},
    )


def _headers(violations: Sequence[Violation], now: int) -> tuple[tuple[str, str], ...]:
    """Return the RateLimit fields of the exceeded quotas, in their measures, in addition to those of the rate limits.

    Quota, window and unit follow draft-ietf-httpapi-ratelimit-headers-10, section 3, which requires integers: hence
    gpu_ms and usd_micros.
    """
    policies, left = [], []
    for quota, window, balance in ((each.quota, each.window, each.balance) for each in violations):
        seconds, measure = (window.end - window.start) // 1000, MEASURES[quota.unit].name
        policies.append(f'"{quota.name}";q={quota.limit};qu="{measure}";w={seconds}')
        remaining = max(0, balance.remaining(quota.unit, quota.limit))
        left.append(f'"{quota.name}";r={remaining};t={whole_seconds((window.end - now) / 1000)}')
    return ("ratelimit-policy", ", ".join(policies)), ("ratelimit", ", ".join(left))


def _sentence(violation: Violation) -> str:
    quota, balance = violation.quota, violation.balance
    limit, used, reserved = (
        to_display(quota.unit, amount)
        for amount in (quota.limit, of_unit(balance.used, quota.unit), of_unit(balance.reserved, quota.unit))
    )
    what = _WORDS.get(quota.unit, quota.unit.value)
    allowed = f"The quota of {_SUBJECTS[quota.subject]} is {limit} {what} per {quota.period.value} (UTC)"
    return f"{allowed}: {used} are used and {reserved} reserved for work in progress."


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
