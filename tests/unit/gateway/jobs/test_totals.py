"""Incremental totals equal the sums over all jobs."""

from __future__ import annotations

import random
import sys
import time
from functools import partial

import pytest
from sqlalchemy import Connection, func, insert, select, update

from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.database.tables import JobRow
from provisioning.gateway.jobs.totals import ByState, Total, Totals
from tests.unit.gateway.job_rows import JOBS, fill

OPEN = "running"


def everything(connection: Connection) -> ByState:
    sums = (func.count(), func.sum(JobRow.gpu_ms), func.sum(JobRow.usd_micros))
    rows = connection.execute(select(JobRow.state, *sums).group_by(JobRow.state))
    return {state: Total(*map(int, values)) for state, *values in rows}


def submit(connection: Connection, number: int) -> None:
    job = {"id": f"job-{number}", "key_id": "k", "owner": "o", "client_id": "", "workflow": b"", "submitted_at": number}
    connection.execute(insert(JobRow).values(**job, state=OPEN))


def end(connection: Connection, number: int, chance: random.Random) -> None:
    took = {"gpu_ms": chance.randrange(1000), "usd_micros": chance.randrange(1000), "finished_at": number}
    ended = update(JobRow).where(JobRow.id == f"job-{number}")
    connection.execute(ended.values(state=chance.choice(["completed", "failed"]), **took))


async def test_jobs_that_end_in_any_order_are_all_counted_once(database: Database) -> None:
    chance, totals, waiting = random.Random(7), Totals(database), []  # noqa: S311 - seeded chance
    for number in range(120):
        await database.run(partial(submit, number=number))
        waiting.append(number)
        while waiting and chance.random() < 0.5:
            over = waiting.pop(chance.randrange(len(waiting)))
            await database.run(partial(end, number=over, chance=chance))
        if chance.random() < 0.4:
            assert await totals.by_state() == await database.read(everything)
    for over in waiting:
        await database.run(partial(end, number=over, chance=chance))
    assert await totals.by_state() == await Totals(database).by_state() == await database.read(everything)


async def test_totals_of_no_jobs_are_zero(database: Database) -> None:
    assert await Totals(database).by_state() == {}


@pytest.mark.slow
async def test_finished_jobs_are_summed_up_once(database: Database) -> None:
    database.run_now(fill)
    totals, took = Totals(database), []
    for _ in range(20):
        began = time.perf_counter()
        assert sum(total.jobs for total in (await totals.by_state()).values()) == JOBS
        took.append(time.perf_counter() - began)
    sys.stdout.write(f"{JOBS} jobs: first {took[0] * 1000:.1f} ms, then {min(took[1:]) * 1000:.2f} ms\n")
    assert min(took[1:]) < 0.05
