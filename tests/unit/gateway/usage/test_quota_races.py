"""Concurrent requests for the last unit of a quota, from several processes: one of them gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from provisioning.contract.gateway_options import Period, Unit
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.time_units import DAY_MS
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.usage.quotas import Quota, Subject

pytestmark = pytest.mark.slow

ROUNDS = 100
REQUESTS = 50
NOW = 1_700_000_000_000
OWN = (
    Quota(Subject.USER, Unit.JOBS, Period.DAY, 1),
    Quota(Subject.USER, Unit.GPU_SECONDS, Period.DAY, 1000),
    Quota(Subject.KEY, Unit.USD, Period.MONTH, 10**12),
)


@pytest.fixture
def pair(database: Database) -> Iterator[tuple[Ledger, Ledger]]:
    """Return two gateways' ledgers on one database."""
    other = Database(database.url)
    yield Ledger(database, 1.0), Ledger(other, 1.0)
    other.close()


async def test_one_of_50_concurrent_requests_gets_the_last_unit(pair: tuple[Ledger, Ledger]) -> None:
    for turn in range(ROUNDS):
        asked = [_job(turn, number) for number in range(REQUESTS)]
        answers = await asyncio.gather(*(_accept(pair[job_number % 2], job) for job_number, job in enumerate(asked)))
        assert answers.count(None) == 1, turn
        assert answers.count(Code.QUOTA_EXCEEDED) == REQUESTS - 1, turn


def _job(turn: int, number: int) -> Job:
    return Job(f"{turn}-{number}", "key", "bots", False, "", b"{}", NOW + turn * DAY_MS, quotas=OWN)


async def _accept(ledger: Ledger, job: Job) -> Code | None:
    try:
        assert await ledger.accept(job)
    except Problem as problem:
        return problem.code
    return None
