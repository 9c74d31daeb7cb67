"""Reservations: amounts that are reserved before work begins."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.contract.gateway_options import Period
from provisioning.gateway.core.time_units import DAY_MS
from provisioning.gateway.usage.calendar import Window, window
from provisioning.gateway.usage.quotas import Quota, Subject
from provisioning.gateway.usage.units import Amounts

RESERVATION_MS = DAY_MS
"""How long a reservation lasts; those of unfinished jobs are renewed."""

WINDOW_COUNT = 4
"""The windows of a piece of work: day and month of its user and of its key."""


@dataclass(frozen=True)
class BillingSubject:
    """The user and the key that work is counted for, and the time of its acceptance, which selects the windows."""

    owner: str
    key_id: str
    at: int

    def windows(self) -> tuple[WindowKey, ...]:
        """Return the windows in which the work counts."""
        names = ((Subject.USER, self.owner), (Subject.KEY, self.key_id))
        return tuple(WindowKey(subject, name, window(period, self.at)) for subject, name in names for period in Period)


@dataclass(frozen=True)
class WindowKey:
    """The day or the month of one user or key."""

    subject: Subject
    name: str
    window: Window


@dataclass(frozen=True)
class Reservation:
    """A reservation for work that is about to begin."""

    id: str
    account: BillingSubject
    wanted: Amounts
    """The requested amounts: exact for the measures in EXACT, estimates for the others."""
    quotas: tuple[Quota, ...]
    expires_at: int
