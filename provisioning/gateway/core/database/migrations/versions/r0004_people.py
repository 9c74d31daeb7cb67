"""Users, logins, spent tickets and the audit log; keys that are rotated, limited, labelled and seen to be used."""

import time

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, and a user of every name that keys were issued to."""
    _keys()
    _people()
    _audit()
    _append_only()
    _owners()


def _keys() -> None:
    columns = (
        _bytes("previous_digest", nullable=True), _number("previous_until", nullable=True),
        _number("last_used_at", nullable=True), _text("created_by", nullable=True), _text("hint", nullable=True),
        _text("limits", default="{}"), _bytes("labels", nullable=True),
    )  # fmt: skip
    for column in columns:
        op.add_column("keys", column)
    op.execute("UPDATE keys SET hint = 'cgw_live_' || id || '...'")


def _people() -> None:
    op.create_table(
        "users", _text("name"), _text("role"), _text("password", nullable=True), _number("password_at", nullable=True),
        _text("limits", default="{}"), _bytes("labels", nullable=True), _number("created_at"),
        _number("disabled_at", nullable=True), _number("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )  # fmt: skip
    op.create_table(
        "sessions", _text("id"), _text("user", nullable=True), _text("key_id", nullable=True),
        _bytes("proof", nullable=True), _bytes("digest"), _text("address"), _number("created_at"),
        _number("expires_at"), _number("ended_at", nullable=True), sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )  # fmt: skip
    op.create_index("sessions_by_end", "sessions", ["expires_at"])
    op.create_table(
        "spent_tickets", _text("id"), _number("expires_at"), sa.PrimaryKeyConstraint("id", name="pk_spent_tickets")
    )
    op.create_index("spent_tickets_by_end", "spent_tickets", ["expires_at"])


def _audit() -> None:
    op.create_table(
        "audit", sa.Column("sequence", INTEGER, autoincrement=True, nullable=False), _number("at"), _text("actor"),
        _text("key_id"), _text("act"), _text("target"), _text("address"), _text("request_id"), _bytes("detail"),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit"),
    )  # fmt: skip
    op.create_index("audit_by_target", "audit", ["target", "sequence"])


def _append_only() -> None:
    """Have the database refuse to change or delete a line of the audit log."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_refuses_{act.lower()} BEFORE {act} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
    )


def _owners() -> None:
    """Make users of the owners that are more than a key's own id; an admin's where one of their keys is one."""
    op.execute(
        sa.text(
            "INSERT INTO users (name, role, created_at) SELECT owner, "
            "CASE WHEN max(CASE WHEN scopes LIKE '%admin%' THEN 1 ELSE 0 END) = 1 THEN 'admin' ELSE 'member' END, "
            "CAST(:now AS BIGINT) FROM keys WHERE owner <> id GROUP BY owner"
        ).bindparams(now=round(time.time() * 1000))
    )


def _text(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, server_default=default)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, INTEGER, nullable=nullable)


def _bytes(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=nullable)
