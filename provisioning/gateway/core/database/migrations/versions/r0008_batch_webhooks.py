"""A batch may have a webhook address of its own, as a single job may."""

from alembic import op

revision = "r0008"
down_revision = "r0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Name the column by what it holds from now on: a job's id or a batch's."""
    # Alembic's own renaming copies the whole table on SQLite, which has done this by itself since 3.25.
    op.execute("ALTER TABLE webhook_targets RENAME COLUMN job_id TO subject")
