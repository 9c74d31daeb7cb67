"""Calendar days and months in UTC: quotas reset at midnight, or at midnight on the first of the month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provisioning.contract.gateway_options import Period


@dataclass(frozen=True)
class Window:
    """A day or month, in milliseconds since the epoch; the end is exclusive."""

    period: Period
    start: int
    end: int


def window(period: Period, at: int) -> Window:
    """Return the day or month that contains a time."""
    day = datetime.fromtimestamp(at / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period is Period.DAY:
        return Window(period, _ms(day), _ms(day + timedelta(days=1)))
    first = day.replace(day=1)
    # A month has 28 to 31 days, so that 31 days after the first are in the next month.
    return Window(period, _ms(first), _ms((first + timedelta(days=31)).replace(day=1)))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
