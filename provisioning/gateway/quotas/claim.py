"""What somebody asks for before work begins."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.gateway.access.allowance import Period
from provisioning.gateway.quotas.amounts import Amounts
from provisioning.gateway.quotas.calendar import Window, window
from provisioning.gateway.quotas.ceilings import Ceiling, Subject

PLACES = 4
"""Windows that work counts in: its user's and its key's, each a day and a month."""


@dataclass(frozen=True)
class Account:
    """Whom work is for and when it was accepted, which decides the day and the month that it counts in."""

    owner: str
    key_id: str
    at: int

    def places(self) -> tuple[Place, ...]:
        """Return every window that the work counts in."""
        names = ((Subject.USER, self.owner), (Subject.KEY, self.key_id))
        return tuple(Place(subject, name, window(period, self.at)) for subject, name in names for period in Period)


@dataclass(frozen=True)
class Place:
    """One user's or key's day or month."""

    subject: Subject
    name: str
    window: Window


@dataclass(frozen=True)
class Claim:
    """Work that is about to begin."""

    id: str
    account: Account
    wanted: Amounts
    """Exactly what it takes of EXACT measures, and about what of the others."""
    ceilings: tuple[Ceiling, ...]
    expires_at: int
