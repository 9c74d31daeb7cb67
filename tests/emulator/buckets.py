"""Time spans and costs: what was billed between two moments, in buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.emulator import emulator
from tests.emulator.clock import iso, parse_iso
from tests.emulator.problems import invalid
from tests.emulator.state import Span

DEFAULT_DAYS = 30
MAX_BUCKETS = 10_000

Amounts = dict[str, float]


@dataclass(frozen=True)
class Query:
    """A time range, snapped to buckets."""

    start: datetime
    end: datetime
    bucket: str

    def buckets(self) -> list[tuple[datetime, datetime]]:
        """Return the buckets of the range, oldest first."""
        found: list[tuple[datetime, datetime]] = []
        start = self.start
        while start < self.end and len(found) < MAX_BUCKETS:
            found.append((start, following(start, self.bucket)))
            start = found[-1][1]
        return found

    def view(self, **more: str | None) -> dict[str, Any]:
        """Return the query as the answer repeats it."""
        start, end = iso(self.start.timestamp()), iso(self.end.timestamp())
        return {"startTime": start, "endTime": end, "bucketSize": self.bucket} | more


def floor(moment: datetime, bucket: str) -> datetime:
    """Return the start of the bucket a moment lies in."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match bucket:
        case "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
    return day


def following(start: datetime, bucket: str) -> datetime:
    """Return the start of the next bucket; 31 days or 366 reach over any month or year."""
    steps = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
    longest = timedelta(days=31 if bucket == "month" else 366)
    return start + steps[bucket] if bucket in steps else floor(start + longest, bucket)


def read_query(request: web.Request) -> Query:
    """Read the time range of a request; by default the last 30 days."""
    now = datetime.fromtimestamp(emulator.of(request).clock.now(), UTC)
    bucket = request.query.get("bucketSize", "day")
    try:
        end = moment(request.query.get("endTime")) or now
        start = moment(request.query.get("startTime")) or end - timedelta(days=DEFAULT_DAYS)
    except ValueError as error:
        raise invalid(f"startTime or endTime: {error}") from error
    if last := int(request.query.get("lastN", "0")):
        start = floor(now, bucket)
        for _ in range(last - 1):
            start = floor(start - timedelta(seconds=1), bucket)
        end = now
    return Query(floor(start, bucket), following(floor(end, bucket), bucket), bucket)


def moment(text: str | None) -> datetime | None:
    """Return a moment of a query parameter, None when it is not given."""
    return datetime.fromtimestamp(parse_iso(text), UTC) if text else None


def spent(spans: Iterable[Span], start: float, end: float) -> Amounts:
    """Return USD by what was billed between two moments."""
    sums = {"gpu": 0.0, "cpu": 0.0, "disk": 0.0}
    for span in spans:
        hours = max(0.0, min(end, span.end or end) - max(start, span.start)) / 3600
        sums["gpu"] += span.gpu * hours
        sums["cpu"] += span.cpu * hours
        sums["disk"] += span.disk * hours
    return sums


Charge = Callable[[Amounts], Amounts]


def records(query: Query, spans: list[Span], charge: Charge, known: float) -> list[dict[str, Any]]:
    """Return the buckets in which something was spent, up to the moment that billing knows of."""
    found = []
    for start, end in query.buckets():
        amounts = charge(spent(spans, start.timestamp(), min(end.timestamp(), known)))
        if amounts["totalAmount"] > 0:
            times = {"startTime": iso(start.timestamp()), "endTime": iso(end.timestamp())}
            found.append(times | amounts)
    return found


def totals(found: list[dict[str, Any]], empty: Amounts) -> Amounts:
    """Return the sums of records."""
    return {name: sum(record[name] for record in found) for name in empty}


def known_until(request: web.Request) -> float:
    """Return the moment up to which billing has caught up."""
    emu = emulator.of(request)
    return emu.clock.now() - emu.conditions.billing_lag_seconds
