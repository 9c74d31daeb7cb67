"""Saying no so that the reader knows which quota, until when, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from provisioning.gateway.access.allowance import Unit
from provisioning.gateway.problems import Code, Problem, whole_seconds
from provisioning.gateway.quotas.amounts import MEASURES, of_unit, spoken
from provisioning.gateway.quotas.calendar import Window
from provisioning.gateway.quotas.ceilings import Ceiling, Subject
from provisioning.gateway.quotas.standing import Standing

_WHOSE = {Subject.USER: "your user", Subject.KEY: "this key"}
_WORDS = {Unit.GPU_SECONDS: "GPU seconds", Unit.USD: "US dollars"}


@dataclass(frozen=True)
class Violation:
    """A quota that has no room for what was asked."""

    ceiling: Ceiling
    window: Window
    standing: Standing


def refusal(violations: Sequence[Violation], now: int) -> Problem:
    """Return the error: 402 when only money is missing, 429 otherwise; Retry-After is the end of the last window."""
    last = max(violations, key=lambda violation: violation.window.end)
    money = all(violation.ceiling.unit is Unit.USD for violation in violations)
    return Problem(
        Code.QUOTA_EXHAUSTED if money else Code.QUOTA_EXCEEDED,
        " ".join(map(_sentence, violations)) + f" Wait until {_moment(last.window.end)}, or ask the operator for more.",
        retry_after=(last.window.end - now) / 1000,
        headers=_headers(violations, now),
        members={"violated-policies": [violation.ceiling.name for violation in violations]},
    )


def _headers(violations: Sequence[Violation], now: int) -> tuple[tuple[str, str], ...]:
    """Return the RateLimit fields of the quotas that refused, beside those of the rates, in their measures.

    Quota, window and unit by draft-ietf-httpapi-ratelimit-headers-10, section 3: gpu_ms and usd_micros are whole.
    """
    policies, left = [], []
    for ceiling, window, standing in ((each.ceiling, each.window, each.standing) for each in violations):
        seconds, measure = (window.end - window.start) // 1000, MEASURES[ceiling.unit].name
        policies.append(f'"{ceiling.name}";q={ceiling.limit};qu="{measure}";w={seconds}')
        room = max(0, standing.room(ceiling.unit, ceiling.limit))
        left.append(f'"{ceiling.name}";r={room};t={whole_seconds((window.end - now) / 1000)}')
    return ("ratelimit-policy", ", ".join(policies)), ("ratelimit", ", ".join(left))


def _sentence(violation: Violation) -> str:
    ceiling, standing = violation.ceiling, violation.standing
    limit, used, reserved = (
        spoken(ceiling.unit, amount)
        for amount in (ceiling.limit, of_unit(standing.used, ceiling.unit), of_unit(standing.reserved, ceiling.unit))
    )
    what = _WORDS.get(ceiling.unit, ceiling.unit.value)
    allowed = f"Of {limit} {what} per {ceiling.period.value} (UTC) that {_WHOSE[ceiling.subject]} may take"
    return f"{allowed}, {used} are used and {reserved} set aside for work under way."


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
