"""A flood of refusals is delayed; a few refusals are not."""

from __future__ import annotations

import asyncio

import pytest

from provisioning.gateway.core.database.tables import RequestRow
from provisioning.gateway.jobs.ledger import RequestRecord
from provisioning.gateway.limits.refusal_throttle import RefusalThrottle
from tests.unit.gateway.conftest import Gate, until

PER_SECOND, BURST, MOST_SECONDS = 300, 100, 1.0


def test_occasional_refusals_are_not_delayed() -> None:
    slow = RefusalThrottle(PER_SECOND, BURST, MOST_SECONDS)
    assert {slow.delay(1000.0 + second) for second in range(100)} == {0.0}


def test_a_burst_is_not_delayed_and_later_refusals_are_spaced() -> None:
    flooded = RefusalThrottle(PER_SECOND, BURST, MOST_SECONDS)
    delays = [flooded.delay(1000.0) for _ in range(BURST + 5)]
    assert delays[: BURST + 1] == pytest.approx([0.0] * (BURST + 1), abs=1e-9)
    gaps = [later - sooner for sooner, later in zip(delays[BURST:], delays[BURST + 1 :], strict=False)]
    assert gaps == pytest.approx([1 / PER_SECOND] * 4)


def test_the_delay_is_bounded_and_resets_after_a_flood() -> None:
    flooded = RefusalThrottle(PER_SECOND, BURST, MOST_SECONDS)
    assert max(flooded.delay(1000.0) for _ in range(10 * PER_SECOND)) <= MOST_SECONDS
    assert flooded.delay(1000.0 + MOST_SECONDS + 2 * BURST / PER_SECOND) == 0.0


@pytest.mark.parametrize("internal", [{"refusals_per_second": 5, "refusal_burst": 0}])
async def test_refusals_of_the_gateway_are_spaced(gate: Gate) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    refused = [gate.client(None).get("/queue") for _ in range(4)]
    assert [answer.status_code for answer in await asyncio.gather(*refused)] == [401] * 4
    assert loop.time() - began >= 0.6


@pytest.mark.parametrize("internal", [{"refusals_per_second": 0.01, "refusal_burst": 0, "refusal_delay_seconds": 600}])
async def test_a_request_with_a_key_does_not_wait_while_refusals_do(gate: Gate) -> None:
    refused = [asyncio.create_task(gate.client(None).get("/queue")) for _ in range(4)]
    await until(lambda: sum(task.done() for task in refused) == 1)
    assert (await gate.alice.get("/queue")).status_code == 200
    assert sum(task.done() for task in refused) == 1
    for task in refused:
        task.cancel()
    await asyncio.gather(*refused, return_exceptions=True)


def test_a_request_log_row_matches_the_order_of_its_columns() -> None:
    assert list(RequestRecord._fields) == RequestRow.__table__.columns.keys()
