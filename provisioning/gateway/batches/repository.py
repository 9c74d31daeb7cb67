"""Batches as rows of the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Index, Row, select, true, update
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.gateway.batches.batch import Batch
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.database.tables import Base, JobRow
from provisioning.gateway.core.database.tables import Sequence as SequenceNumber
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs import repository as job_repository
from provisioning.gateway.jobs.job import Job, JobState
from provisioning.gateway.webhooks import outbox


class BatchRow(Base):
    """A batch; its jobs refer to it by `batch_id`."""

    __tablename__ = "batches"

    sequence: Mapped[SequenceNumber]
    id: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str]
    key_id: Mapped[str]
    created_at: Mapped[int]
    size: Mapped[int]
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes | None]


_NAMED = BatchRow.idempotency_key.is_not(None)

Index("batches_by_owner", BatchRow.owner, BatchRow.sequence)
Index(
    "batches_by_idempotency", BatchRow.owner, BatchRow.idempotency_key, unique=True,
    sqlite_where=_NAMED, postgresql_where=_NAMED,
)  # fmt: skip

_NAMES = tuple(field.name for field in fields(Batch) if field.name != "webhook_url")
_COLUMNS = tuple(getattr(BatchRow, name) for name in _NAMES)


@dataclass(frozen=True)
class Member:
    """One job of a batch."""

    id: str
    state: JobState
    error: str | None
    cancel_requested: bool


class BatchStore:
    """Stores and finds batches; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, batch: Batch, jobs: Sequence[Job], write: Callable[[Connection, Job], bool]) -> bool:
        """Store a batch and, with `write`, its jobs in one transaction; returns False for a taken idempotency key.

        Raises what `write` raises, for example for an exhausted quota; then nothing was written.
        """
        return await self._database.run(lambda connection: _accept(connection, batch, jobs, write))

    async def get(self, batch_id: str, owner: str | None) -> Batch | None:
        """Return a batch; None when there is none that `owner` may see. `owner` None means all owners."""
        found = await self._select(select(*_COLUMNS).where(BatchRow.id == batch_id, _of(owner)))
        return _batch(found[0]) if found else None

    async def of_key(self, owner: str, idempotency_key: str) -> Batch | None:
        """Return the batch that was submitted with an idempotency key."""
        named = BatchRow.idempotency_key == idempotency_key
        found = await self._select(select(*_COLUMNS).where(BatchRow.owner == owner, named))
        return _batch(found[0]) if found else None

    async def page(self, owner: str | None, *, before: int, limit: int) -> list[tuple[int, Batch]]:
        """Return batches whose sequence number comes before another, with that number, newest first."""
        newest = select(BatchRow.sequence, *_COLUMNS).where(BatchRow.sequence < before, _of(owner))
        found = await self._select(newest.order_by(BatchRow.sequence.desc()).limit(limit))
        return [(row.sequence, _batch(row)) for row in found]

    async def members(self, batch_id: str) -> list[Member]:
        """Return the jobs of a batch, in the order of the request."""
        columns = (JobRow.id, JobRow.state, JobRow.error, JobRow.cancel_requested)
        found = await self._select(select(*columns).where(JobRow.batch_id == batch_id).order_by(JobRow.sequence))
        return [Member(row.id, JobState(row.state), row.error, row.cancel_requested) for row in found]

    async def _select(self, statement: Any) -> list[Row[Any]]:  # noqa: ANN401 - a Select of whatever columns
        return await self._database.read(lambda connection: list(connection.execute(statement)))


def _accept(
    connection: Connection, batch: Batch, jobs: Sequence[Job], write: Callable[[Connection, Job], bool]
) -> bool:
    stale = (BatchRow.owner == batch.owner) & (BatchRow.idempotency_key == batch.idempotency_key)
    forget = update(BatchRow).where(stale, BatchRow.created_at < batch.created_at - job_repository.IDEMPOTENCY_MS)
    connection.execute(forget.values(idempotency_key=None))
    if not sql_helpers.add_new(connection, BatchRow, {name: getattr(batch, name) for name in _NAMES}):
        return False
    if batch.webhook_url is not None:
        outbox.add_target(connection, batch.owner, batch.id, batch.webhook_url, batch.created_at)
    for job in jobs:
        if not write(connection, job):
            # The exception rolls the transaction back.
            raise Problem(Code.INTERNAL_ERROR)
    return True


def _batch(row: Row[Any]) -> Batch:
    return Batch(**{name: getattr(row, name) for name in _NAMES})


def _of(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else BatchRow.owner == owner
