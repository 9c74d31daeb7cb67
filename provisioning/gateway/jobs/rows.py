"""Jobs as rows of the database."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, literal, or_, select, update

from provisioning.gateway.access.scopes import Role
from provisioning.gateway.access.tables import UserRow
from provisioning.gateway.jobs.job import Job, JobState
from provisioning.gateway.storage import statements
from provisioning.gateway.storage.tables import JobRow, KeyRow, columns
from provisioning.gateway.webhooks import outbox

IDEMPOTENCY_MS = 86_400_000
"""How long an idempotency key is remembered."""

_ACCEPTED = (
    "id", "key_id", "owner", "client_id", "state", "workflow", "submitted_at", "idempotency_key", "request_hash",
    "priority", "label", "timeout_ms", "batch_id",
)  # fmt: skip
_HELD = (
    "id", "key_id", "owner", "client_id", "workflow", "submitted_at", "started_at", "priority", "attempts",
    "timeout_ms", "batch_id",
)  # fmt: skip


@dataclass(frozen=True)
class JobRecord:
    """A job as it is written down."""

    sequence: int
    """Counts up with every job: where a page of jobs ends and the next begins."""
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


_RECORDED = [field.name for field in fields(JobRecord)]

RECORD = select(*columns(JobRow, _RECORDED))
"""Finds jobs as records."""
ONE = RECORD.where(JobRow.id == bindparam("which"))
"""Finds the job with an id."""
ONE_OWN = ONE.where(JobRow.owner == bindparam("whose"))

_SHORT = columns(JobRow, [name for name in _RECORDED if name not in {"workflow", "history"}])
_NO_WORKFLOW = literal(b"").label("workflow")
_UNSUCCESSFUL = JobRow.state.in_((JobState.FAILED, JobState.REJECTED))

LISTED = select(*_SHORT, _NO_WORKFLOW, case((_UNSUCCESSFUL, JobRow.history), else_=None).label("history"))
"""Finds them for a list, without what it does not show: workflows never, histories but for the errors in them."""

LISTED_WITH_HISTORIES = select(*_SHORT, _NO_WORKFLOW, JobRow.history)

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
"""Finds every job without a final state, oldest first, with whether its key is an admin's."""


def accept(connection: Connection, job: Job) -> bool:
    """Write down a new job, within a transaction; False when its idempotency key is taken."""
    if job.idempotency_key is not None:
        stale = (JobRow.owner == job.owner) & (JobRow.idempotency_key == job.idempotency_key)
        forget = update(JobRow).where(stale, JobRow.submitted_at < job.submitted_at - IDEMPOTENCY_MS)
        connection.execute(forget.values(idempotency_key=None))
    added = statements.add_new(connection, JobRow, {name: getattr(job, name) for name in _ACCEPTED})
    if added and job.webhook_url is not None:
        outbox.follow(connection, job.owner, job.id, job.webhook_url, job.submitted_at)
    return added


def is_over(connection: Connection, batch_id: str) -> bool:
    """Return whether every job of a batch has ended."""
    unfinished = select(JobRow.id).where(JobRow.batch_id == batch_id, JobRow.finished_at.is_(None))
    return connection.execute(unfinished.limit(1)).first() is None


def from_row(row: Row[Any]) -> JobRecord:
    """Return the record of a row that RECORD found."""
    values = row._asdict()
    return JobRecord(**{**values, "state": JobState(values["state"])})


def in_flight(row: Row[Any]) -> Job:
    """Return an unfinished job from a row that IN_FLIGHT found."""
    return Job(
        **{name: getattr(row, name) for name in _HELD},
        admin=bool(row.admin),
        state=JobState(row.state),
        cancel_requested=row.cancel_requested,
    )
