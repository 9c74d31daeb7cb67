"""Totals over all jobs, cheap enough for a monitor that polls every few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.database.tables import JobRow

_SUMS = select(
    JobRow.state, func.count(), func.sum(JobRow.gpu_ms), func.sum(JobRow.usd_micros)
).group_by(JobRow.state)  # fmt: skip


@dataclass(frozen=True)
class Total:
    """The total usage of the jobs in one state."""

    jobs: int = 0
    gpu_ms: int = 0
    usd_micros: int = 0

    def __add__(self, other: Total) -> Total:
        """Return the sum."""
        return Total(self.jobs + other.jobs, self.gpu_ms + other.gpu_ms, self.usd_micros + other.usd_micros)


ByState = Mapping[str, Total]


@dataclass(frozen=True)
class _Known:
    """The sums of all jobs up to a sequence number, all of which have ended and never change again."""

    until: int = 0
    sums: ByState = field(default_factory=dict)


class Totals:
    """Sums up finished jobs once and queries again only from the oldest unfinished job on.

    That is exact: sequence numbers are assigned by one writer at a time, and the usage of a finished job never changes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = _Known()

    async def by_state(self) -> ByState:
        """Return the total usage by state; raises Problem STORE_UNAVAILABLE."""
        known = self._known
        found, sums = await self._database.read(lambda connection: _counted(connection, known))
        if found.until > self._known.until:
            self._known = found
        return sums


def _counted(connection: Connection, known: _Known) -> tuple[_Known, ByState]:
    """Return the settled sums, and the sums of all jobs."""
    newest = connection.execute(select(func.max(JobRow.sequence))).scalar() or 0
    oldest = connection.execute(select(func.min(JobRow.sequence)).where(JobRow.finished_at.is_(None))).scalar()
    until = max(known.until, newest if oldest is None else oldest - 1)
    settled = _Known(until, _together(known.sums, _between(connection, known.until, until)))
    return settled, _together(settled.sums, _between(connection, until, newest))


def _between(connection: Connection, after: int, until: int) -> ByState:
    if after >= until:
        return {}
    rows = connection.execute(_SUMS.where(JobRow.sequence > after, JobRow.sequence <= until))
    # PostgreSQL's sums of integers are decimals.
    return {state: Total(count, int(gpu_ms), int(usd_micros)) for state, count, gpu_ms, usd_micros in rows}


def _together(some: ByState, others: ByState) -> ByState:
    return {state: some.get(state, Total()) + others.get(state, Total()) for state in some.keys() | others.keys()}
