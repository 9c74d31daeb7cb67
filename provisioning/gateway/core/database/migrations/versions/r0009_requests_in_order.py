"""Requests in the order of time with no index beside; by random ids, each row had a page of its own to be written."""

import sqlalchemy as sa
from alembic import op

revision = "r0009"
down_revision = "r0008"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
COLUMNS = (
    "id", "key_id", "job_id", "method", "route", "status", "received_at", "duration_ms", "bytes_in", "bytes_out",
)  # fmt: skip
NUMBERS = frozenset({"status", "received_at", "duration_ms", "bytes_in", "bytes_out"})


def upgrade() -> None:
    """Replace the table by one whose rows stand by their time."""
    op.rename_table("requests", "requests_former")
    op.drop_index("requests_by_time", "requests_former")
    if op.get_bind().dialect.name == "postgresql":
        # Its index would keep the name of the new one.
        op.drop_constraint("pk_requests", "requests_former")
    op.create_table(
        "requests",
        *(sa.Column(name, INTEGER if name in NUMBERS else sa.Text, nullable=name == "job_id") for name in COLUMNS),
        sa.PrimaryKeyConstraint("received_at", "id", name="pk_requests"),
        sqlite_with_rowid=False,
    )
    names = ", ".join(COLUMNS)
    op.execute(f"INSERT INTO requests ({names}) SELECT {names} FROM requests_former ORDER BY received_at")  # noqa: S608
    op.drop_table("requests_former")
