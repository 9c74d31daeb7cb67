"""Queries of stored jobs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Executable, Row, bindparam, func, select, true

from provisioning.gateway.assets import repository as asset_repository
from provisioning.gateway.assets.repository import Asset
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.database.tables import AssetRow, JobRow
from provisioning.gateway.jobs import repository as job_repository
from provisioning.gateway.jobs.job import Job, JobState
from provisioning.gateway.jobs.repository import JobRecord, of_owner
from provisioning.gateway.upstream.stored_file import StoredFile

HISTORY_LIMIT = 1000
"""Most history entries in one response."""

# Statements are built once: to build one costs more than to execute it.
_MADE = select(AssetRow.owner).where(asset_repository.AT)
_OWNERS = _MADE.distinct()
_OWNED = _MADE.where(AssetRow.owner == bindparam("owner")).limit(1)


class JobQueries:
    """Reads jobs; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def in_flight(self) -> list[Job]:
        """Return every job without a final state, oldest first."""
        return [job_repository.in_flight(row) for row in await self._all(job_repository.IN_FLIGHT)]

    async def history(self, owner: str | None, *, limit: int, offset: int = 0) -> dict[str, Any]:
        """Return the newest `limit` history entries by id, oldest first; of all owners when `owner` is None."""
        shown = select(JobRow.id, JobRow.history).where(*job_repository.SHOWN, of_owner(owner))
        newest = shown.order_by(JobRow.sequence.desc()).limit(min(limit, HISTORY_LIMIT)).offset(offset)
        return {row.id: orjson.loads(row.history) for row in reversed(await self._all(newest))}

    async def history_of(self, job_id: str, owner: str | None) -> dict[str, Any] | None:
        """Return a history entry; None when there is none that `owner` may see."""
        shown = select(JobRow.history).where(JobRow.id == job_id, *job_repository.SHOWN, of_owner(owner))
        found = await self._all(shown)
        return orjson.loads(found[0].history) if found else None

    async def row(self, job_id: str, owner: str | None) -> JobRecord | None:
        """Return the record of a job; None when there is none that `owner` may see."""
        return await self._first(JobRow.id == job_id, of_owner(owner))

    async def row_and_files(self, job_id: str, owner: str | None) -> tuple[JobRecord | None, list[Asset]]:
        """Return the same with the outputs of a completed job, in one transaction, since clients poll."""
        return await self._database.read(lambda connection: _row_and_files(connection, job_id, owner))

    async def row_of_key(self, owner: str, idempotency_key: str) -> JobRecord | None:
        """Return the job that was submitted with an idempotency key."""
        return await self._first(JobRow.owner == owner, JobRow.idempotency_key == idempotency_key)

    async def rows(
        self, owner: str | None, *, before: int, limit: int, states: Collection[JobState] = frozenset(JobState)
    ) -> list[JobRecord]:
        """Return jobs in these states whose sequence number comes before another, newest first.

        Records have no workflows, and histories only of jobs that failed.
        """
        chosen = true() if len(states) == len(JobState) else JobRow.state.in_(states)
        page = job_repository.LISTED.where(JobRow.sequence < before, of_owner(owner), chosen)
        newest = page.order_by(JobRow.sequence.desc()).limit(limit)
        return [job_repository.from_row(row) for row in await self._all(newest)]

    async def recent(self, owner: str | None, limit: int) -> list[JobRecord]:
        """Return the newest jobs with their histories, without their workflows."""
        newest = (
            job_repository.LISTED_WITH_HISTORIES.where(of_owner(owner)).order_by(JobRow.sequence.desc()).limit(limit)
        )
        return [job_repository.from_row(row) for row in await self._all(newest)]

    async def ended(self, owner: str | None, *, since: int, limit: int) -> list[JobRecord]:
        """Return the jobs that ended after a time, the newest `limit` of them, oldest first."""
        ended = job_repository.RECORD.where(JobRow.finished_at > since, of_owner(owner))
        rows = await self._all(ended.order_by(JobRow.finished_at.desc(), JobRow.sequence.desc()).limit(limit))
        return [job_repository.from_row(row) for row in reversed(rows)]

    async def owns(self, owner: str, file: StoredFile) -> bool:
        """Return whether a job of `owner` made this file."""
        parameters = {"owner": owner, **asdict(file)}
        return await self._database.read(lambda connection: connection.execute(_OWNED, parameters).first() is not None)

    async def owners(self, file: StoredFile) -> set[str]:
        """Return the owners that have this file as an upload or an output."""
        return await self._database.read(lambda connection: set(connection.execute(_OWNERS, asdict(file)).scalars()))

    async def usage(self, owner: str | None, since: int) -> list[dict[str, Any]]:
        """Sum up the jobs submitted since a time, by key and state; of all owners when `owner` is None."""
        sums = (func.sum(JobRow.gpu_ms).label("gpu_ms"), func.sum(JobRow.usd_micros).label("usd_micros"))
        by = (JobRow.key_id, JobRow.state)
        chosen = select(*by, func.count().label("jobs"), *sums).where(JobRow.submitted_at >= since, of_owner(owner))
        rows = await self._all(chosen.group_by(*by).order_by(*by))
        # PostgreSQL's sums of integers are decimals.
        return [{name: _whole(value) for name, value in row._asdict().items()} for row in rows]

    async def _first(self, *where: ColumnElement[bool]) -> JobRecord | None:
        return await self._database.read(lambda connection: job_repository.first(connection, *where))

    async def _all(self, statement: Executable) -> list[Row[Any]]:
        return await self._database.read(lambda connection: list(connection.execute(statement)))


def _row_and_files(connection: Connection, job_id: str, owner: str | None) -> tuple[JobRecord | None, list[Asset]]:
    row = job_repository.first(connection, JobRow.id == job_id, of_owner(owner))
    completed = row is not None and row.state is JobState.COMPLETED
    return row, asset_repository.made_by(connection, job_id) if completed else []


def _whole(value: object) -> object:
    return int(value) if isinstance(value, Decimal) else value
