"""Days and months by the calendar, in UTC: a quota begins anew at midnight, or at midnight before the first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provisioning.contract.gateway_options import Period


@dataclass(frozen=True)
class Window:
    """One day or month; milliseconds since the epoch, the end not included."""

    period: Period
    start: int
    end: int


def window(period: Period, at: int) -> Window:
    """Return the day or month that a time falls into."""
    day = datetime.fromtimestamp(at / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period is Period.DAY:
        return Window(period, _ms(day), _ms(day + timedelta(days=1)))
    first = day.replace(day=1)
    # No month has more than 31 days, and none fewer than 28.
    return Window(period, _ms(first), _ms((first + timedelta(days=31)).replace(day=1)))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
