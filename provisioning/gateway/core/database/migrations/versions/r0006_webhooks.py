"""Webhooks: endpoints, single jobs' addresses, messages, their deliveries and attempts."""

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _endpoints()
    op.create_table("webhook_targets", _text("job_id"), _text("endpoint_id"), _text("url"), _key("targets", "job_id"))
    op.create_table(
        "webhook_messages",
        _text("id"), _text("owner"), _text("type"), _text("subject", nullable=True),
        sa.Column("body", sa.LargeBinary), _number("created_at"), _key("messages", "id"),
    )  # fmt: skip
    _deliveries()
    op.create_table(
        "webhook_attempts",
        _sequence(), _text("delivery_id"), _number("at"), _number("status", nullable=True),
        _text("error", nullable=True), _number("duration_ms"), _key("attempts", "sequence"),
    )  # fmt: skip
    _indexes()


def _endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        _sequence(), _text("id"), _text("owner"), _text("url", nullable=True), _text("description"), _text("types"),
        _text("secret"), _text("former_secret", nullable=True), _number("former_until", nullable=True),
        _number("created_at"), _number("failing_since", nullable=True), _number("disabled_at", nullable=True),
        _text("disabled_reason", nullable=True), _key("endpoints", "sequence"),
        sa.UniqueConstraint("id", name="uq_webhook_endpoints_id"),
    )  # fmt: skip


def _deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        _sequence(), _text("id"), _text("message_id"), _text("endpoint_id"), _text("owner"),
        _text("url", nullable=True), _text("state"),
        sa.Column("attempts", INTEGER, nullable=False, server_default="0"), _number("next_at", nullable=True),
        _number("created_at"), _number("ended_at", nullable=True), _key("deliveries", "sequence"),
        sa.UniqueConstraint("id", name="uq_webhook_deliveries_id"),
    )  # fmt: skip


def _indexes() -> None:
    waiting = sa.text("next_at IS NOT NULL")
    op.create_index("webhook_endpoints_by_owner", "webhook_endpoints", ["owner"])
    op.create_index("webhook_messages_by_time", "webhook_messages", ["created_at"])
    op.create_index("webhook_deliveries_by_owner", "webhook_deliveries", ["owner", "sequence"])
    op.create_index("webhook_deliveries_by_message", "webhook_deliveries", ["message_id"])
    op.create_index(
        "webhook_deliveries_due", "webhook_deliveries", ["next_at"], sqlite_where=waiting, postgresql_where=waiting
    )
    op.create_index("webhook_attempts_by_delivery", "webhook_attempts", ["delivery_id"])


def _sequence() -> sa.Column[object]:
    return sa.Column("sequence", INTEGER, autoincrement=True, nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, INTEGER, nullable=nullable)


def _key(table: str, column: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(column, name=f"pk_webhook_{table}")
