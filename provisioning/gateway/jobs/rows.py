"""Jobs as rows of the database."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields

from provisioning.gateway.jobs.job import Job, JobState

IDEMPOTENCY_MS = 86_400_000
"""How long an idempotency key is remembered."""


@dataclass(frozen=True)
class JobRow:
    """A job as it is written down."""

    rowid: int
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
    cancel_requested: int
    request_hash: bytes | None


SELECT = f"SELECT {', '.join(field.name for field in fields(JobRow))} FROM jobs"  # noqa: S608 - our own names


def accept(connection: sqlite3.Connection, job: Job) -> bool:
    """Write down a new job, within a transaction; False when its idempotency key is taken."""
    if job.idempotency_key is not None:
        connection.execute(
            "UPDATE jobs SET idempotency_key = NULL WHERE owner = ? AND idempotency_key = ? AND submitted_at < ?",
            (job.owner, job.idempotency_key, job.submitted_at - IDEMPOTENCY_MS),
        )
    values = (
        job.id, job.key_id, job.owner, job.client_id, job.state, job.workflow, job.submitted_at, job.idempotency_key,
        job.request_hash, job.priority,
    )  # fmt: skip
    added = connection.execute(
        """INSERT INTO jobs (id, key_id, owner, client_id, state, workflow, submitted_at, idempotency_key, request_hash,
           priority) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (owner, idempotency_key)
           WHERE idempotency_key IS NOT NULL DO NOTHING""",
        values,
    )
    return added.rowcount == 1


def from_row(row: sqlite3.Row) -> JobRow:
    """Return a row that SELECT found."""
    return JobRow(**{**dict(row), "state": JobState(row["state"])})


def in_flight(row: sqlite3.Row) -> Job:
    """Return an unfinished job from its row, joined with whether its key is an admin's."""
    names = ("id", "key_id", "owner", "client_id", "workflow", "submitted_at", "started_at", "priority", "attempts")
    return Job(
        **{name: row[name] for name in names},
        admin=bool(row["admin"]),
        state=JobState(row["state"]),
        cancel_requested=bool(row["cancel_requested"]),
    )
