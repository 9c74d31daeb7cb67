"""Two pods on one volume under load, each with a gateway and a ComfyUI: nothing is lost, nothing runs twice."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.gateway.bench import kill
from tests.integration.gateway.pods import Demand, Pod, states, unfinished
from tests.unit.gateway.conftest import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@asynccontextmanager
async def pods(folder: Path, silence_seconds: float = 3.0) -> AsyncIterator[tuple[Pod, Pod]]:
    first, second = (Pod(folder, name, silence_seconds) for name in ("pod-a", "pod-b"))
    try:
        yield first, second
    finally:
        await first.end()
        await second.end()


async def progress(demand: Demand, count: int) -> None:
    """Wait until so many more orders were taken."""
    before = len(demand.jobs)
    await until(lambda: len(demand.jobs) >= before + count, seconds=120)


async def settled(pod: Pod) -> None:
    await until(lambda: unfinished(pod) == 0, seconds=200)


async def judge(demand: Demand, first: Pod, second: Pod, seconds: float) -> int:
    """Return how many jobs ran twice, once none is found lost."""
    ends = states(second)
    lost = [job for job in demand.jobs.values() if ends.get(job) != "completed"]
    ran = [await pod.ran() for pod in (first, second)]
    twice = len(ran[0] & ran[1])
    sys.stderr.write(
        f"\n{len(demand.jobs)} orders, {dict(demand.served)}: lost {len(lost)}, ran on both pods {twice}, "
        f"taken over after {seconds:.1f} s\n"
    )
    assert lost == []
    assert set(demand.jobs.values()) <= ran[0] | ran[1]
    return twice


async def test_a_pod_hands_over_to_the_next_one_under_load(tmp_path: Path) -> None:
    async with pods(tmp_path) as (first, second):
        await first.comfyui()
        await first.gateway()
        await until(first.is_ready)
        demand = Demand([first, second])
        async with demand.coming():
            await progress(demand, 6)
            await second.gateway()
            assert await second.reason() == "standby"
            await asyncio.sleep(1)
            assert await first.is_ready(), "it is asked once the other's ComfyUI answers, not before"
            began = time.monotonic()
            await second.comfyui()
            await until(second.is_ready, seconds=120)
            took = time.monotonic() - began
            await until(lambda: first.running[1].exitcode == 0, seconds=60)
            await first.gateway()
            assert await first.reason() == "standby"
            await progress(demand, 6)
        await settled(second)
        assert await judge(demand, first, second, took) == 0
        assert demand.served["pod-a"] >= 6
        assert demand.served["pod-b"] >= 6


async def test_a_pod_that_dies_is_waited_for_and_then_taken_over_from(tmp_path: Path) -> None:
    async with pods(tmp_path) as (first, second):
        await first.comfyui()
        await first.gateway()
        await until(first.is_ready)
        demand = Demand([first, second])
        async with demand.coming():
            await progress(demand, 5)
            await second.comfyui()
            ran = await first.ran()
            await kill(*first.running)
            await second.gateway()
            await until(second.is_ready, seconds=120)
            await progress(demand, 5)
        await settled(second)
        ends = states(second)
        assert [job for job in demand.jobs.values() if ends.get(job) != "completed"] == []
        # One that had just ended may not be known to have.
        assert len(ran & await second.ran()) <= 1


async def test_a_restart_on_the_same_pod_waits_for_nobody(tmp_path: Path) -> None:
    async with pods(tmp_path, silence_seconds=600) as (first, _):
        await first.comfyui()
        gateway = await first.gateway()
        await until(first.is_ready)
        await kill(gateway)
        began = time.monotonic()
        await first.gateway()
        await until(first.is_ready)
        assert time.monotonic() - began < 200


async def test_a_volume_that_stalls_at_one_pod_costs_one_job_run_twice_at_most(tmp_path: Path) -> None:
    async with pods(tmp_path) as (first, second):
        await first.comfyui()
        await second.comfyui()
        await first.gateway()
        await until(first.is_ready)
        demand = Demand([first, second])
        async with demand.coming():
            await progress(demand, 5)
            first.stall.touch()
            began = time.monotonic()
            await second.gateway()
            await until(second.is_ready, seconds=120)
            took = time.monotonic() - began
            assert took > 2, "it was not asked to hand over, it was silent"
            async with first.setup.client() as client:
                assert (await client.get("/livez")).status_code == 200
            await progress(demand, 3)
            first.stall.unlink()
            await until(lambda: first.running[1].exitcode == 0, seconds=60)
            await progress(demand, 3)
        await settled(second)
        assert await judge(demand, first, second, took) <= 1


async def test_a_gateway_that_was_overtaken_stands_by_when_it_is_started_again(tmp_path: Path) -> None:
    """Else two pods would take the volume from each other in turn."""
    async with pods(tmp_path) as (first, second):
        await first.comfyui()
        await second.comfyui()
        await first.gateway()
        await until(first.is_ready)
        await second.gateway()
        await until(second.is_ready, seconds=120)
        await kill(first.running[-1])
        await first.gateway()
        await asyncio.sleep(3)
        assert await first.reason() == "standby"
        assert await second.is_ready()


async def test_a_newcomer_whose_volume_stalls_says_that_it_stands_by(tmp_path: Path) -> None:
    async with pods(tmp_path) as (first, second):
        await first.comfyui()
        await second.comfyui()
        await first.gateway()
        await until(first.is_ready)
        second.stall.touch()
        await second.gateway()
        assert await second.reason() == "standby"
        await asyncio.sleep(2)
        assert await first.is_ready(), "nobody asks it yet"
        second.stall.unlink()
        await until(second.is_ready, seconds=120)
