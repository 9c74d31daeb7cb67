"""Which quotas hold for a caller: the options' defaults, and what an admin set for the user or the key instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioning.contract.gateway_options import Options, Period, Unit
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.usage.units import MEASURES

Given = Mapping[Unit, Mapping[Period, float | None]]


class Subject(StrEnum):
    """Whom a quota is for."""

    USER = "user"
    """All keys of one user together."""
    KEY = "key"


@dataclass(frozen=True)
class Quota:
    """One quota."""

    subject: Subject
    unit: Unit
    period: Period
    limit: int
    """In the unit's measure."""

    @property
    def name(self) -> str:
        """Return what `violated-policies` calls it."""
        return f"{self.subject}-{self.unit}-{self.period}"


def quotas_of(options: Options, actor: Actor) -> tuple[Quota, ...]:
    """Return every quota that holds for a caller."""
    given = (
        (Subject.USER, options.quotas, actor.user_limits.quotas),
        (Subject.KEY, options.key_quotas, actor.limits.quotas),
    )
    return tuple(
        Quota(subject, unit, period, round(amount * MEASURES[unit].scale))
        for subject, defaults, own in given
        for unit in Unit
        for period in Period
        if (amount := _amount(defaults, own, unit, period)) is not None
    )


def _amount(defaults: Given, own: Given, unit: Unit, period: Period) -> float | None:
    for given in (own, defaults):
        if period in given.get(unit, {}):
            # An explicit null lifts what the options say.
            return given[unit][period]
    return None
