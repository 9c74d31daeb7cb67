"""Batches, and how long a job may take."""

import sqlalchemy as sa
from alembic import op

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add a table, and two columns to the jobs."""
    op.create_table(
        "batches",
        sa.Column("sequence", INTEGER, autoincrement=True, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("id", "owner", "key_id")),
        *(sa.Column(name, INTEGER, nullable=False) for name in ("created_at", "size")),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("request_hash", sa.LargeBinary),
        sa.PrimaryKeyConstraint("sequence", name="pk_batches"),
        sa.UniqueConstraint("id", name="uq_batches_id"),
    )
    named = sa.text("idempotency_key IS NOT NULL")
    op.create_index("batches_by_owner", "batches", ["owner", "sequence"])
    op.create_index(
        "batches_by_idempotency", "batches", ["owner", "idempotency_key"], unique=True,
        sqlite_where=named, postgresql_where=named,
    )  # fmt: skip
    op.add_column("jobs", sa.Column("timeout_ms", INTEGER, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("batch_id", sa.Text))
    in_batch = sa.text("batch_id IS NOT NULL")
    op.create_index("jobs_by_batch", "jobs", ["batch_id"], sqlite_where=in_batch, postgresql_where=in_batch)
