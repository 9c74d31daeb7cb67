"""Reservations: amounts that are set aside before work begins."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.contract.gateway_options import Period
from provisioning.gateway.core.time_units import DAY_MS
from provisioning.gateway.usage.calendar import Window, window
from provisioning.gateway.usage.quotas import Quota, Subject
from provisioning.gateway.usage.units import Amounts

RESERVATION_MS = DAY_MS
"""How long a reservation lives of itself; that of a job without an end is renewed."""

WINDOW_COUNT = 4
"""Windows that work counts in: its user's and its key's, each a day and a month."""


@dataclass(frozen=True)
class BillingSubject:
    """The user and the key that work counts for, and when it was accepted, which decides its day and its month."""

    owner: str
    key_id: str
    at: int

    def windows(self) -> tuple[WindowKey, ...]:
        """Return every window that the work counts in."""
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
    """Work that is about to begin."""

    id: str
    account: BillingSubject
    wanted: Amounts
    """Exactly what it takes of EXACT measures, and about what of the others."""
    quotas: tuple[Quota, ...]
    expires_at: int
