"""The label that a caller gave a job."""

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; jobs of before have no label."""
    op.add_column("jobs", sa.Column("label", sa.LargeBinary, nullable=True))
