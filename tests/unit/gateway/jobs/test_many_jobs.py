"""Lists stay fast with many jobs behind them."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from sqlalchemy import Connection

from provisioning.gateway.core.database.database import Database
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.repository import JobRecord

pytestmark = pytest.mark.slow

JOBS = 100_000
OWNERS = 50
BYTES = 500
"""Of a workflow, and of a history."""
PAGE = 100
AIM_SECONDS = 0.02
TRIES, MOST_TRIES = 15, 300

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


async def best(look: Callable[[], Awaitable[list[JobRecord]]]) -> float:
    """Return the least time of several: what the machine does beside this is not what is measured."""
    least = float("inf")
    for number in range(MOST_TRIES):
        began = time.perf_counter()
        assert len(await look()) == PAGE
        least = min(least, time.perf_counter() - began)
        if number >= TRIES and least < AIM_SECONDS:
            break
    return least


async def test_a_page_of_100_000_jobs(filled: Ledger) -> None:
    for owner in ("owner-7", None):
        for before in (2**53, JOBS // 2):
            took = await best(partial(filled.rows, owner, before=before, limit=PAGE))
            sys.stdout.write(f"{owner or 'all'} before {before}: {took * 1000:.1f} ms\n")
            assert took < AIM_SECONDS, (owner, before)


@pytest.fixture
def filled(database: Database) -> Ledger:
    database.run_now(fill)
    return Ledger(database, 1.0)
