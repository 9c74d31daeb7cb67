"""The quotas of a caller: defaults from the options, unless an admin set others for the user or the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioning.contract.gateway_options import Options, Period, Unit
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.usage.units import MEASURES

QuotaValues = Mapping[Unit, Mapping[Period, float | None]]


class Subject(StrEnum):
    """Whether a quota limits a user or a key."""

    USER = "user"
    """All keys of one user together."""
    KEY = "key"


@dataclass(frozen=True)
class Quota:
    """A quota."""

    subject: Subject
    unit: Unit
    period: Period
    limit: int
    """The limit in the unit's measure."""

    @property
    def name(self) -> str:
        """Return the quota's name in `violated-policies`."""
        return f"{self.subject}-{self.unit}-{self.period}"


def quotas_of(options: Options, actor: Actor) -> tuple[Quota, ...]:
    """Return all quotas of a caller."""
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


def _amount(defaults: QuotaValues, own: QuotaValues, unit: Unit, period: Period) -> float | None:
    for given in (own, defaults):
        if period in given.get(unit, {}):
            # An explicit null removes the options' default.
            return given[unit][period]
    return None
