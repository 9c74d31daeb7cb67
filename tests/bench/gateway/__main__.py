"""Measure the gateway against ComfyUI asked directly, nginx and comfy-api-proxy, and print one table.

Everything runs on this machine alone: a canned ComfyUI (for jobs the stand-in, which draws pictures), each target as
one process before it, and the clients.
Each figure is the median of rounds that take turns; CPU is the target's own, by the scheduler's count.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from provisioning.gateway.core.database.database import Database
from tests.bench.gateway import jobs, listeners, requests, saturation, table, targets
from tests.bench.gateway.requests import Case
from tests.bench.gateway.table import Row
from tests.bench.gateway.targets import Target
from tests.unit.gateway.job_rows import JOBS, fill

ENDED_JOB = "job-77"
"""One of those that `fill` writes."""


@dataclass(frozen=True)
class Effort:
    """How much is measured, 1.0 being what figures are quoted from, and on which ComfyUI."""

    rounds: int = requests.ROUNDS
    share: float = 1.0
    comfyui_port: int = 0
    """Of a ComfyUI that runs already, for the jobs; 0 for the stand-in."""

    def of(self, amount: float, least: float) -> int:
        """Return that share of an amount."""
        return round(max(amount * self.share, least))


Part = Callable[[Path, Effort], Iterator[Row]]


def _requests(folder: Path, effort: Effort, *, cases: Sequence[Case], stored: bool = False) -> Iterator[Row]:
    if stored:
        store(folder / "gateway.db", effort.of(JOBS, 1000))
    with contextlib.ExitStack() as stack:
        found = list(_opened(stack, folder, cases))
        yield from requests.measured(cases, found, effort.rounds, effort.share)


def _opened(stack: contextlib.ExitStack, folder: Path, cases: Sequence[Case]) -> Iterator[Target]:
    """Yield the targets that these cases are for, started."""
    wanted = {name for case in cases for name in case.paths}
    comfyui = stack.enter_context(targets.canned())
    if targets.DIRECT in wanted:
        yield comfyui
    if targets.NGINX in wanted and (plain := stack.enter_context(targets.nginx(folder, comfyui))) is not None:
        yield plain
    if targets.PROXY in wanted:
        yield stack.enter_context(targets.comfy_api_proxy(comfyui))
    ours = stack.enter_context(targets.gateway(folder, comfyui.url))
    with targets.client(ours) as http:
        yield replace(ours, asset=targets.uploaded(http), job=ENDED_JOB)


def store(path: Path, jobs: int) -> None:
    """Make a database with so many jobs in it."""
    table.say(f"  writing {jobs} jobs ...")
    database = Database(path)
    database.run_now(lambda connection: fill(connection, jobs))
    database.close()


def _listeners(folder: Path, effort: Effort) -> Iterator[Row]:
    return listeners.measured(folder, effort.of(listeners.STREAMS, 5), effort.of(listeners.SOCKETS, 2))


def _saturation(folder: Path, effort: Effort) -> Iterator[Row]:
    return saturation.measured(folder, effort.of(saturation.CLIENTS, 20), seconds=effort.of(saturation.SECONDS, 1))


def _jobs(folder: Path, effort: Effort) -> Iterator[Row]:
    amount = jobs.Amount(
        effort.of(jobs.SINGLES, 2), effort.of(jobs.JOBS, 4), effort.of(jobs.CLIENTS, 2), effort.of(jobs.ROUNDS, 1)
    )
    return jobs.measured(folder, amount, effort.comfyui_port)


PARTS: Mapping[str, Part] = {
    "jobs": _jobs,
    "json": partial(_requests, cases=requests.JSON),
    "images": partial(_requests, cases=requests.IMAGES),
    "own": partial(_requests, cases=requests.OWN, stored=True),
    "lists": partial(_requests, cases=requests.LISTS, stored=True),
    "listeners": _listeners,
    "saturation": _saturation,
}


def run(names: Sequence[str], effort: Effort) -> list[Row]:
    """Measure these parts, printing every row as it is known."""
    rows = []
    for name in names:
        table.say(f"  {name} ...")
        with tempfile.TemporaryDirectory() as folder:
            for row in PARTS[name](Path(folder), effort):
                rows.append(row)
                table.say(row.line())
    return rows


def machine() -> str:
    """Return what all this runs on, and what else that does."""
    cores, python = os.cpu_count(), platform.python_version()
    return f"{cores} cores, {platform.machine()}, Python {python}, load average {os.getloadavg()[0]:.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; 1 when an aim is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=requests.ROUNDS, help="rounds per figure (default %(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="of the requests and clients (default: all)")
    parser.add_argument("--comfyui-port", type=int, default=0, help="run the jobs on the ComfyUI that listens there")
    parser.add_argument("--json", type=Path, help="file to write the rows to as JSON")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    table.say(f"before: {machine()}")
    rows = run(options.parts or list(PARTS), Effort(options.rounds, options.share, options.comfyui_port))
    table.say(f"\n{machine()}\n{table.head()}")
    for row in rows:
        table.say(row.line())
    if options.json is not None:
        options.json.write_text(table.as_json(rows, machine()))
    table.say(f"{time.monotonic() - began:.0f} s")
    return int(any("MISSED" in row.verdict for row in rows))


if __name__ == "__main__":
    sys.exit(main())
