"""Quotas: what is counted, what is set aside, and what was taken; what finished jobs took becomes usage events."""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MEASURES = ("jobs", "gpu_ms", "images", "bytes", "usd_micros")


def upgrade() -> None:
    """Make the tables and carry over what jobs took."""
    _windows()
    _reservations()
    _events()
    for kind, quantity in (("jobs", "1"), ("gpu_ms", "gpu_ms"), ("usd_micros", "usd_micros")):
        _carry_over(kind, quantity)
    _append_only()


def _windows() -> None:
    op.create_table(
        "quota_windows", _text("subject"), _text("name"), _text("period"),
        sa.Column("start", INTEGER, nullable=False, autoincrement=False),
        *(_number(f"{part}_{name}", default="0") for part in ("used", "reserved") for name in MEASURES),
        sa.PrimaryKeyConstraint("subject", "name", "period", "start", name="pk_quota_windows"),
    )  # fmt: skip


def _reservations() -> None:
    op.create_table(
        "quota_reservations", _text("id"), _text("owner"), _text("key_id"), _number("at"), _number("expires_at"),
        *(_number(name) for name in MEASURES), sa.PrimaryKeyConstraint("id", name="pk_quota_reservations"),
    )  # fmt: skip
    op.create_index("quota_reservations_by_end", "quota_reservations", ["expires_at"])


def _events() -> None:
    op.create_table(
        "usage_events", sa.Column("sequence", INTEGER, autoincrement=True, nullable=False), _text("id"),
        _text("job_id"), _text("kind"), _number("quantity"), _text("owner"), _text("key_id"), _number("at"),
        sa.PrimaryKeyConstraint("sequence", name="pk_usage_events"),
        sa.UniqueConstraint("id", name="uq_usage_events_id"),
        sa.UniqueConstraint("job_id", "kind", name="uq_usage_events_job_id_kind"),
    )  # fmt: skip
    op.create_index("usage_events_by_time", "usage_events", ["at"])
    op.create_index("usage_events_by_owner", "usage_events", ["owner", "at"])


def _carry_over(kind: str, quantity: str) -> None:
    # Past SQLAlchemy, which would take the colon for a parameter.
    op.get_bind().exec_driver_sql(
        "INSERT INTO usage_events (id, job_id, kind, quantity, owner, key_id, at) "  # noqa: S608 - our own words
        f"SELECT id || ':{kind}', id, '{kind}', {quantity}, owner, key_id, finished_at FROM jobs "
        "WHERE finished_at IS NOT NULL AND state <> 'rejected' AND (started_at IS NOT NULL OR gpu_ms > 0) "
        f"AND {quantity} > 0 ORDER BY finished_at, sequence"
    )


def _append_only() -> None:
    """Have the database refuse to change or delete what a bill may have been written from."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER usage_events_refuse_{act.lower()} BEFORE {act} ON usage_events "
                "BEGIN SELECT RAISE(ABORT, 'usage events are append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION usage_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'usage events are append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER usage_events_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION usage_events_are_append_only()"
    )


def _text(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str, *, default: str | None = None) -> sa.Column[object]:
    return sa.Column(name, INTEGER, nullable=False, server_default=default)
