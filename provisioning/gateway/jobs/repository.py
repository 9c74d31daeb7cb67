"""Jobs as rows of the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, literal, or_, select, true, update

from provisioning.gateway.accounts.user_tables import UserRow
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.tables import JobRow, KeyRow, columns
from provisioning.gateway.core.scopes import Role
from provisioning.gateway.core.time_units import DAY_MS
from provisioning.gateway.jobs.job import Job, JobState
from provisioning.gateway.webhooks import outbox

IDEMPOTENCY_MS = DAY_MS
"""How long an idempotency key is valid."""

_ACCEPTED = (
    "id", "key_id", "owner", "client_id", "state", "workflow", "submitted_at", "idempotency_key", "request_hash",
    "priority", "label", "timeout_ms", "batch_id",
)  # fmt: skip
_HELD = (
    "id", "key_id", "owner", "client_id", "workflow", "submitted_at", "started_at", "priority", "attempts",
    "timeout_ms", "batch_id",
)  # fmt: skip


class JobRecord(NamedTuple):
    """A stored job; a tuple, which is built from a row directly."""

    sequence: int
    """Increases with every job; the cursor of pages."""
    id: str
    owner: str
    state: JobState
    workflow: bytes
    submitted_at: int
    started_at: int | None
    finished_at: int | None
    gpu_ms: int
    history: bytes | None
    error: str | None
    cancel_requested: bool
    request_hash: bytes | None
    priority: int
    label: bytes | None


def from_row(row: Iterable[Any]) -> JobRecord:
    """Return the record of a row that has the record's fields in their order."""
    record = JobRecord._make(row)
    return record._replace(state=JobState(record.state))


_COLUMNS = columns(JobRow, JobRecord._fields)

RECORD = select(*_COLUMNS)
"""Selects jobs as records."""

SHOWN = (JobRow.history.is_not(None), JobRow.hidden.is_(False))
"""The condition for jobs in the history."""


def _listed(history: ColumnElement[Any]) -> Select[Any]:
    instead = {"workflow": literal(b"").label("workflow"), "history": history.label("history")}
    return select(*(instead.get(name, column) for name, column in zip(JobRecord._fields, _COLUMNS, strict=True)))


_UNSUCCESSFUL = JobRow.state.in_((JobState.FAILED, JobState.REJECTED))

LISTED = _listed(case((_UNSUCCESSFUL, JobRow.history), else_=None))
"""Selects jobs for lists: without workflows, and with the histories of failed jobs only."""

LISTED_WITH_HISTORIES = _listed(JobRow.__table__.c.history)

IN_FLIGHT = (
    select(
        *(getattr(JobRow, name) for name in (*_HELD, "state", "cancel_requested")),
        or_(
            KeyRow.scopes.like('%"admin"%'),
            and_(JobRow.key_id.like("user:%"), UserRow.role == Role.ADMIN.value),
        ).label("admin"),
    )
    .outerjoin(KeyRow, KeyRow.id == JobRow.key_id)
    .outerjoin(UserRow, UserRow.name == JobRow.owner)
    .where(JobRow.finished_at.is_(None))
    .order_by(JobRow.sequence)
)
"""Selects every unfinished job, oldest first, with whether its key is an admin's."""


def of_owner(owner: str | None) -> ColumnElement[bool]:
    """Return the condition for an owner's jobs; for all jobs when `owner` is None."""
    return true() if owner is None else JobRow.owner == owner


def first(connection: Connection, *where: ColumnElement[bool]) -> JobRecord | None:
    """Return the first job that meets the conditions, or None."""
    row = connection.execute(RECORD.where(*where)).first()
    return None if row is None else from_row(row)


def accept(connection: Connection, job: Job) -> bool:
    """Insert a new job, within a transaction; returns False when its idempotency key is taken."""
    if job.idempotency_key is not None:
        stale = (JobRow.owner == job.owner) & (JobRow.idempotency_key == job.idempotency_key)
        forget = update(JobRow).where(stale, JobRow.submitted_at < job.submitted_at - IDEMPOTENCY_MS)
        connection.execute(forget.values(idempotency_key=None))
    added = sql_helpers.add_new(connection, JobRow, {name: getattr(job, name) for name in _ACCEPTED})
    if added and job.webhook_url is not None:
        outbox.add_target(connection, job.owner, job.id, job.webhook_url, job.submitted_at)
    return added


def is_over(connection: Connection, batch_id: str) -> bool:
    """Return whether every job of a batch has ended."""
    unfinished = select(JobRow.id).where(JobRow.batch_id == batch_id, JobRow.finished_at.is_(None))
    return connection.execute(unfinished.limit(1)).first() is None


def in_flight(row: Row[Any]) -> Job:
    """Return an unfinished job from a row of IN_FLIGHT."""
    return Job(
        **{name: getattr(row, name) for name in _HELD},
        admin=bool(row.admin),
        state=JobState(row.state),
        cancel_requested=row.cancel_requested,
    )
