"""Tables that are the same on SQLite and PostgreSQL: rows counted in a column of ours, flags that are flags.

SQLite's STRICT tables, which know five types only, become ordinary ones; what goes in passes through typed columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
FLAGS = frozenset({"seeded", "cancel_requested", "hidden"})


def upgrade() -> None:
    """Create every table again and copy its rows."""
    _move("keys", _keys())
    _move("jobs", _jobs(), order="submitted_at, id")
    _move("assets", _assets(), order="created_at, id")
    _move("requests", _requests())
    _move("meta", [_text("name"), _text("value")])
    _job_indexes()
    _other_indexes()


def _move(table: str, columns: list[sa.Column[object]], order: str | None = None) -> None:
    """Replace a table by one with other columns; `order` is that of its new sequence, where it gets one."""
    former, names = f"{table}_former", [column.name for column in columns]
    op.rename_table(table, former)
    _free_names(former)
    op.create_table(table, *columns, sa.PrimaryKeyConstraint(names[0], name=f"pk_{table}"), *_unique(table, order))
    counted = "rowid" if op.get_bind().dialect.name == "sqlite" else f"row_number() OVER (ORDER BY {order})"
    taken = [f"{name} <> 0" if name in FLAGS else counted if name == "sequence" else name for name in names]
    op.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(taken)} FROM {former}")  # noqa: S608 - ours
    op.drop_table(former)


def _unique(table: str, order: str | None) -> list[sa.UniqueConstraint]:
    return [sa.UniqueConstraint("id", name=f"uq_{table}_id")] if order else []


def _free_names(table: str) -> None:
    # A renamed table keeps the names of its indexes, and in PostgreSQL that of its primary key, which are needed again.
    inspector = sa.inspect(op.get_bind())
    for index in inspector.get_indexes(table):
        op.drop_index(str(index["name"]), table)
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(str(inspector.get_pk_constraint(table)["name"]), table, type_="primary")


def _keys() -> list[sa.Column[object]]:
    return [
        _text("id"), _text("name"), _text("owner"), _text("scopes"), _bytes("digest"), _flag("seeded"),
        _number("created_at"), _number("expires_at", nullable=True), _number("revoked_at", nullable=True),
    ]  # fmt: skip


def _jobs() -> list[sa.Column[object]]:
    return [
        _sequence(), _text("id"), _text("key_id"), _text("owner"), _text("client_id"), _text("state"),
        _bytes("workflow"), _number("submitted_at"), _number("queued_at", nullable=True),
        _number("started_at", nullable=True), _number("finished_at", nullable=True), _number("gpu_ms", default="0"),
        _number("usd_micros", default="0"), _bytes("history", nullable=True), _text("error", nullable=True),
        _flag("cancel_requested", default="false"), _flag("hidden", default="false"),
        _text("idempotency_key", nullable=True), _bytes("request_hash", nullable=True),
        _number("priority", default="0"), _number("attempts", default="0"),
    ]  # fmt: skip


def _assets() -> list[sa.Column[object]]:
    return [
        _sequence(), _text("id"), _text("owner"), _text("job_id", nullable=True), _text("node_id"), _text("type"),
        _text("subfolder"), _text("filename"), _text("file_path"), _text("content_type", nullable=True),
        _number("size_bytes", nullable=True), _text("hash", nullable=True), _number("created_at"),
    ]  # fmt: skip


def _requests() -> list[sa.Column[object]]:
    return [
        _text("id"), _text("key_id"), _text("job_id", nullable=True), _text("method"), _text("route"),
        _number("status"), _number("received_at"), _number("duration_ms"), _number("bytes_in"), _number("bytes_out"),
    ]  # fmt: skip


def _job_indexes() -> None:
    unfinished, named = sa.text("finished_at IS NULL"), sa.text("idempotency_key IS NOT NULL")
    op.create_index("jobs_by_owner", "jobs", ["owner", "sequence"])
    op.create_index("jobs_by_time", "jobs", ["submitted_at"])
    op.create_index("jobs_by_end", "jobs", ["finished_at"])
    op.create_index("jobs_in_flight", "jobs", ["state"], sqlite_where=unfinished, postgresql_where=unfinished)
    op.create_index(
        "jobs_by_idempotency", "jobs", ["owner", "idempotency_key"], unique=True,
        sqlite_where=named, postgresql_where=named,
    )  # fmt: skip


def _other_indexes() -> None:
    hashed = sa.text("hash IS NOT NULL")
    op.create_index("assets_by_file", "assets", ["type", "subfolder", "filename", "owner"])
    op.create_index("assets_by_job", "assets", ["job_id"])
    op.create_index("assets_by_hash", "assets", ["owner", "hash"], sqlite_where=hashed, postgresql_where=hashed)
    op.create_index("requests_by_time", "requests", ["received_at"])


def _sequence() -> sa.Column[object]:
    return sa.Column("sequence", INTEGER, autoincrement=True, nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[object]:
    return sa.Column(name, INTEGER, nullable=nullable, server_default=default)


def _bytes(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.LargeBinary, nullable=nullable)


def _flag(name: str, *, default: str | None = None) -> sa.Column[object]:
    given = sa.text(default) if default else None
    return sa.Column(name, sa.Boolean(create_constraint=False), nullable=False, server_default=given)
