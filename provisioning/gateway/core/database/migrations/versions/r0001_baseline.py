"""The form that the last gateway with its own SQL made, at `user_version` 3."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables; an SQLite file that has them already is only stamped."""
    _keys()
    _jobs()
    _assets()
    _requests()
    op.create_table("meta", _text("name", primary_key=True), _text("value"), sqlite_strict=True)


def _keys() -> None:
    op.create_table(
        "keys", _text("id", primary_key=True), _text("name"), _text("owner"), _text("scopes"),
        sa.Column("digest", sa.LargeBinary, nullable=False), _number("seeded"), _number("created_at"),
        _number("expires_at", nullable=True), _number("revoked_at", nullable=True), sqlite_strict=True,
    )  # fmt: skip


def _jobs() -> None:
    op.create_table(
        "jobs", _text("id", primary_key=True), _text("key_id"), _text("owner"), _text("client_id"), _text("state"),
        sa.Column("workflow", sa.LargeBinary, nullable=False), _number("submitted_at"),
        _number("queued_at", nullable=True), _number("started_at", nullable=True),
        _number("finished_at", nullable=True), _number("gpu_ms", default="0"), _number("usd_micros", default="0"),
        sa.Column("history", sa.LargeBinary), _text("error", nullable=True), _number("cancel_requested", default="0"),
        _number("hidden", default="0"), _text("idempotency_key", nullable=True),
        sa.Column("request_hash", sa.LargeBinary), _number("priority", default="0"), _number("attempts", default="0"),
        sqlite_strict=True,
    )  # fmt: skip
    unfinished, named = sa.text("finished_at IS NULL"), sa.text("idempotency_key IS NOT NULL")
    op.create_index("jobs_by_owner", "jobs", ["owner", "submitted_at"])
    op.create_index("jobs_in_flight", "jobs", ["state"], sqlite_where=unfinished, postgresql_where=unfinished)
    op.create_index(
        "jobs_by_idempotency", "jobs", ["owner", "idempotency_key"], unique=True,
        sqlite_where=named, postgresql_where=named,
    )  # fmt: skip


def _assets() -> None:
    op.create_table(
        "assets", _text("id", primary_key=True), _text("owner"), _text("job_id", nullable=True), _text("node_id"),
        _text("type"), _text("subfolder"), _text("filename"), _text("file_path"), _text("content_type", nullable=True),
        _number("size_bytes", nullable=True), _text("hash", nullable=True), _number("created_at"), sqlite_strict=True,
    )  # fmt: skip
    hashed = sa.text("hash IS NOT NULL")
    op.create_index("assets_by_file", "assets", ["type", "subfolder", "filename", "owner"])
    op.create_index("assets_by_job", "assets", ["job_id"])
    op.create_index("assets_by_hash", "assets", ["owner", "hash"], sqlite_where=hashed, postgresql_where=hashed)


def _requests() -> None:
    op.create_table(
        "requests", _text("id", primary_key=True), _text("key_id"), _text("job_id", nullable=True), _text("method"),
        _text("route"), _number("status"), _number("received_at"), _number("duration_ms"), _number("bytes_in"),
        _number("bytes_out"), sqlite_strict=True,
    )  # fmt: skip
    op.create_index("requests_by_time", "requests", ["received_at"])


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=primary_key)


def _number(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, INTEGER, nullable=nullable, server_default=default)
