"""The core tables, declared once for SQLite and PostgreSQL; features declare further tables on this Base.

Statements use these classes with SQLAlchemy's Core (`select(JobRow.id).where(...)`) and so work on both databases.
Times are milliseconds since the epoch, money is millionths of a dollar, ids are text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from provisioning.gateway.core.database.encryption import Sealed, SealedText

BigInt = BigInteger().with_variant(Integer, "sqlite")
"""64 bits on both; SQLite generates keys only for the type INTEGER."""

Sequence = Annotated[int, mapped_column(BigInt, primary_key=True, autoincrement=True)]
"""Incremented with every row: the order in which rows were inserted."""


class Base(DeclarativeBase):
    """The base class of every table."""

    metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"})
    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInt, str: Text, bytes: LargeBinary}


def columns(row: type[Base], names: Iterable[str]) -> list[ColumnElement[Any]]:
    """Return columns of a row's table, for statements that are executed often.

    SQLAlchemy compares the columns of each executed statement with those of the cached one. With attributes of the
    class every comparison builds an SQL expression and discards it, which is most of the cost of a short SELECT.
    """
    return [row.__table__.c[name] for name in names]


class KeyRow(Base):
    """An API key."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(SealedText("keys.name"))
    owner: Mapped[str]
    scopes: Mapped[str]
    """A JSON list."""
    digest: Mapped[bytes]
    seeded: Mapped[bool]
    created_at: Mapped[int]
    expires_at: Mapped[int | None]
    revoked_at: Mapped[int | None]
    previous_digest: Mapped[bytes | None]
    previous_until: Mapped[int | None]
    last_used_at: Mapped[int | None]
    created_by: Mapped[str | None]
    hint: Mapped[str | None]
    limits: Mapped[str] = mapped_column(server_default="{}")
    """A JSON object: core.limit_settings.LimitSettings."""
    labels: Mapped[bytes | None] = mapped_column(Sealed("keys.labels"))
    """A JSON object."""


class JobRow(Base):
    """A job. Rows are never deleted; workflow and history are cleared when the retention ends."""

    __tablename__ = "jobs"

    sequence: Mapped[Sequence]
    id: Mapped[str] = mapped_column(unique=True)
    key_id: Mapped[str]
    owner: Mapped[str]
    client_id: Mapped[str]
    state: Mapped[str]
    workflow: Mapped[bytes] = mapped_column(Sealed("jobs.workflow"))
    submitted_at: Mapped[int]
    queued_at: Mapped[int | None]
    started_at: Mapped[int | None]
    finished_at: Mapped[int | None]
    gpu_ms: Mapped[int] = mapped_column(server_default="0")
    usd_micros: Mapped[int] = mapped_column(server_default="0")
    history: Mapped[bytes | None] = mapped_column(Sealed("jobs.history"))
    error: Mapped[str | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    hidden: Mapped[bool] = mapped_column(server_default=text("false"))
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes | None]
    priority: Mapped[int] = mapped_column(server_default="0")
    attempts: Mapped[int] = mapped_column(server_default="0")
    label: Mapped[bytes | None] = mapped_column(Sealed("jobs.label"))
    """The caller's label, JSON."""
    timeout_ms: Mapped[int] = mapped_column(server_default="0")
    batch_id: Mapped[str | None]


_UNFINISHED = JobRow.finished_at.is_(None)
_IN_BATCH = JobRow.batch_id.is_not(None)
_NAMED = JobRow.idempotency_key.is_not(None)

Index("jobs_by_owner", JobRow.owner, JobRow.sequence)
Index("jobs_by_time", JobRow.submitted_at)
Index("jobs_by_end", JobRow.finished_at)
Index("jobs_in_flight", JobRow.state, sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED)
Index("jobs_by_batch", JobRow.batch_id, sqlite_where=_IN_BATCH, postgresql_where=_IN_BATCH)
Index(
    "jobs_by_idempotency", JobRow.owner, JobRow.idempotency_key, unique=True,
    sqlite_where=_NAMED, postgresql_where=_NAMED,
)  # fmt: skip


class AssetRow(Base):
    """A file with an id."""

    __tablename__ = "assets"

    sequence: Mapped[Sequence]
    id: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str]
    job_id: Mapped[str | None]
    node_id: Mapped[str]
    type: Mapped[str]
    subfolder: Mapped[str]
    filename: Mapped[str]
    file_path: Mapped[str]
    content_type: Mapped[str | None]
    size_bytes: Mapped[int | None]
    hash: Mapped[str | None]
    created_at: Mapped[int]


_HASHED = AssetRow.hash.is_not(None)

Index("assets_by_file", AssetRow.type, AssetRow.subfolder, AssetRow.filename, AssetRow.owner)
Index("assets_by_job", AssetRow.job_id)
Index("assets_by_hash", AssetRow.owner, AssetRow.hash, sqlite_where=_HASHED, postgresql_where=_HASHED)


class RequestRow(Base):
    """An authenticated request.

    The primary key begins with the time, so that consecutive rows share a page; with a random key each of these
    frequent rows would write a page of its own.
    """

    __tablename__ = "requests"
    __table_args__ = (PrimaryKeyConstraint("received_at", "id"), {"sqlite_with_rowid": False})

    id: Mapped[str]
    key_id: Mapped[str]
    job_id: Mapped[str | None]
    method: Mapped[str]
    route: Mapped[str]
    status: Mapped[int]
    received_at: Mapped[int]
    duration_ms: Mapped[int]
    bytes_in: Mapped[int]
    bytes_out: Mapped[int]


class MetaRow(Base):
    """An internal value of the gateway."""

    __tablename__ = "meta"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
