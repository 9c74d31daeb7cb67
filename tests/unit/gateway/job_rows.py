"""Many rows of finished jobs, written by SQL."""

from __future__ import annotations

from sqlalchemy import Connection

JOBS = 100_000
OWNERS = 50
BYTES = 500
"""Of a workflow, and of a history."""
_COLUMNS = "id, key_id, owner, client_id, state, workflow, history, submitted_at, started_at, finished_at, gpu_ms"
_VALUES = "'job-' || i, 'k', 'owner-' || (i - i / {owners} * {owners}), '', 'completed', {blob}, {blob}, i, i, i, 5"
_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {jobs}) SELECT i FROM n",
    "postgresql": "SELECT generate_series(1, {jobs}) AS i",
}
_BLOBS = {"sqlite": f"zeroblob({BYTES})", "postgresql": f"decode(repeat('00', {BYTES}), 'hex')"}


def fill(connection: Connection, jobs: int = JOBS) -> None:
    kind = connection.dialect.name
    values = _VALUES.format(owners=OWNERS, blob=_BLOBS[kind])
    numbers = _NUMBERS[kind].format(jobs=jobs)
    # All of it is this module's own.
    connection.exec_driver_sql(f"INSERT INTO jobs ({_COLUMNS}) SELECT {values} FROM ({numbers}) AS n")  # noqa: S608
    connection.exec_driver_sql("ANALYZE")
