"""What the gateway adds to a job: the same workflow sent to ComfyUI directly and through the gateway, by turns."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.gateway import job_targets
from tests.bench.gateway.job_client import JobTimes, Workflow, connected
from tests.bench.gateway.job_targets import JobTarget
from tests.bench.gateway.load import cpu_seconds, percentile
from tests.bench.gateway.table import Row, verdict
from tests.bench.gateway.targets import DIRECT, GATEWAY

ADDED_MS, RATIO = 30.0, 1.2
"""The aims: what the gateway adds to the p50 of one job, and its time for JOBS jobs divided by ComfyUI's alone."""

SINGLES = 40
"""Jobs of one client at each target."""
JOBS, CLIENTS, ROUNDS = 100, 10, 3
"""Jobs in a row at each target, the clients that submit them, and the number of repetitions."""

STEPS = {
    "accepted": "job: submission answered",
    "ended": "job: event of its end",
    "picture": "job: picture's first byte",
}


@dataclass
class Results:
    """What was measured at one target."""

    singles: list[JobTimes] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)
    """Seconds for all jobs of a round."""
    cpu: list[float] = field(default_factory=list)
    """CPU seconds of the target's process, per job of a round."""


@dataclass(frozen=True)
class Amount:
    """How many jobs are run."""

    singles: int = SINGLES
    jobs: int = JOBS
    clients: int = CLIENTS
    rounds: int = ROUNDS


def measured(folder: Path, amount: Amount, comfyui_port: int = 0) -> Iterator[Row]:
    """Yield the table's rows; with a port, a ComfyUI that listens there takes the place of the stand-in."""
    make = job_targets.without_models if comfyui_port else job_targets.text_to_image
    # Other numbers in each run: a ComfyUI that runs on has cached the pictures of the last one.
    workflows = map(make, itertools.count(time.time_ns() // 1_000_000))
    with job_targets.running(folder, amount.clients, comfyui_port) as found:
        results = {each.name: Results() for each in found}
        asyncio.run(_run_singles(found, results, workflows, amount.singles))
        yield from single_rows(results)
        for _ in range(amount.rounds):
            for target in found:
                asyncio.run(_run_round(target, results[target.name], workflows, amount.jobs))
        yield from round_rows(results, amount)


async def _run_singles(
    found: Sequence[JobTarget], results: dict[str, Results], workflows: Iterator[Workflow], count: int
) -> None:
    """Run one job after the other, at each target by turns; the first of each only warms up."""
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            each.name: await stack.enter_async_context(connected(each.target.url, each.keys[0])) for each in found
        }
        for _ in range(count + 1):
            for name, client in clients.items():
                results[name].singles.append(await client.run(next(workflows)))
    for result in results.values():
        del result.singles[0]


async def _run_round(target: JobTarget, result: Results, workflows: Iterator[Workflow], jobs: int) -> None:
    """Run all jobs; each client submits its next one when it has the picture of the last."""
    left = iter(range(jobs))

    async def work(key: str) -> None:
        async with connected(target.target.url, key) as client:
            for _ in left:
                await client.run(next(workflows))

    cpu, began = cpu_seconds(target.target.pid), time.perf_counter()
    await asyncio.gather(*map(work, target.keys))
    result.rounds.append(time.perf_counter() - began)
    result.cpu.append((cpu_seconds(target.target.pid) - cpu) / jobs)


def single_rows(results: dict[str, Results]) -> Iterator[Row]:
    """Yield a row for each step of one job and each target; the first target is ComfyUI itself."""
    for step, label in STEPS.items():
        took = {name: [getattr(each, step) for each in result.singles] for name, result in results.items()}
        direct, *_ = (percentile(seconds, 50) for seconds in took.values())
        for name, seconds in took.items():
            p50, p95 = percentile(seconds, 50), percentile(seconds, 95)
            judged = verdict("added", p50 - direct, " ms", ADDED_MS) if (name, step) == (GATEWAY, "picture") else ""
            yield Row(label, name, p50=p50, p95=p95, added=None if name == DIRECT else p50 - direct, verdict=judged)


def round_rows(results: dict[str, Results], amount: Amount) -> Iterator[Row]:
    """Yield a row for the rounds of each target; the first target is ComfyUI itself."""
    direct, *_ = results.values()
    for name, result in results.items():
        ratio = median(ours / alone for ours, alone in zip(result.rounds, direct.rounds, strict=True))
        yield Row(
            f"{amount.jobs} jobs of {amount.clients} clients",
            name,
            per_second=amount.jobs / median(result.rounds),
            cpu_ms=median(result.cpu) * 1000,
            ratios=(1 / ratio, None, None),
            verdict=verdict("time to ComfyUI's", ratio, "", RATIO) if name == GATEWAY else "",
        )
