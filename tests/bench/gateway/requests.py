"""Requests one by one: the same ones to every target that can answer them, in rounds that take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import uvloop

from tests.bench.gateway.load import Run, load
from tests.bench.gateway.table import Row, verdict
from tests.bench.gateway.targets import DIRECT, GATEWAY, NGINX, PROXY, Target

CPU_MS, ADDED_MS, OF_NGINX, PAGE_MS = 0.30, 0.5, 0.8, 20.0
"""What is aimed at: CPU per JSON request, p50 added at one client, 1 MB bodies per second to nginx's, a page's p50."""

ROUNDS = 5
WARM = 1.0
"""Part of a round that is sent before all others and not counted: an interpreter takes some hundred requests to have
specialised what it runs, which is no cost of those that follow for days.
"""


@dataclass(frozen=True)
class Case:
    """One kind of request."""

    name: str
    paths: Mapping[str, str]
    """Under which path each target answers it; the others cannot."""
    requests: int
    """In one round."""
    clients: int = 1
    key: bool = True
    judge: Callable[[Row], str] = lambda _row: ""
    """Says of the gateway's row whether it meets its aim."""


def _everywhere(path: str) -> dict[str, str]:
    return dict.fromkeys((DIRECT, NGINX, GATEWAY), path)


def _both(path: str) -> dict[str, str]:
    return dict.fromkeys((PROXY, GATEWAY), path)


def _cpu(row: Row) -> str:
    return verdict("CPU", row.cpu_ms or 0, " ms", CPU_MS)


def _cpu_and_added(row: Row) -> str:
    return f"{_cpu(row)}; {verdict('added', row.added or 0, ' ms', ADDED_MS)}"


def _of_nginx(row: Row) -> str:
    ratio = row.ratios[1]
    return "no nginx here to compare with" if ratio is None else verdict("to nginx", ratio, "", OF_NGINX, least=True)


def _page(row: Row) -> str:
    return verdict("p50", row.p50 or 0, " ms", PAGE_MS)


VIEW = "/view?filename=a.png"
CONTENT = "/api/v2/assets/{asset}/content"

JSON = (
    Case("JSON, passed on", _everywhere("/settings"), 1000, judge=_cpu_and_added),
    Case("JSON, passed on, 32 clients", _everywhere("/settings"), 3200, 32, judge=_cpu),
    Case("JSON, the same for everybody", _everywhere("/models"), 1000, judge=_cpu_and_added),
    Case("the same, 32 clients", _everywhere("/models"), 3200, 32, judge=_cpu),
)
IMAGES = (
    Case("1 MB image", _everywhere(VIEW), 100, judge=_of_nginx),
    Case("1 MB image, 8 clients", _everywhere(VIEW), 200, 8, judge=_of_nginx),
    Case("1 MB asset of the Comfy API", _both(CONTENT), 100),
)
OWN = (
    Case("health, Comfy API", _both("/api/v2/health"), 1000),
    Case("job, Comfy API", _both("/api/v2/jobs/{job}"), 500),
    Case("asset, Comfy API", _both("/api/v2/assets/{asset}"), 500),
    Case("/livez, no key", {GATEWAY: "/livez"}, 1000, key=False),
)
LISTS = (
    Case("100 of 100,000 jobs, everybody's", {GATEWAY: "/api/v2/jobs?limit=100"}, 20, judge=_page),
    Case("the same, from the middle", {GATEWAY: "/api/v2/jobs?limit=100&cursor=50000"}, 20, judge=_page),
)


def measured(cases: Sequence[Case], targets: Sequence[Target], rounds: int, share: float) -> Iterator[Row]:
    """Yield a row for each case and target; `share` of the requests is sent."""
    for case in cases:
        able = [target for target in targets if target.name in case.paths]
        for target in able:
            # What is done once, at the first requests of a kind, is no cost of the others.
            _run(case, target, WARM)
        runs: dict[str, list[Run]] = {target.name: [] for target in able}
        for _ in range(rounds):
            for target in able:
                runs[target.name].append(_run(case, target, share))
        medians = {name: _median(case.name, name, found) for name, found in runs.items()}
        for row in medians.values():
            compared = _compared(row, medians)
            yield _judged(case, compared)


def _run(case: Case, target: Target, share: float) -> Run:
    request = target.request(case.paths[target.name], key=case.key)
    count = max(round(case.requests * share), case.clients)
    return uvloop.run(load(target.port, request, clients=case.clients, requests=count, pid=target.pid))


def _median(case: str, target: str, runs: Sequence[Run]) -> Row:
    """Return the medians of several runs: one that other work on the machine disturbed does not count."""
    return Row(
        case,
        target,
        per_second=median(run.per_second for run in runs),
        p50=median(run.percentile(50) for run in runs),
        p95=median(run.percentile(95) for run in runs),
        cpu_ms=median(run.cpu_ms for run in runs),
    )


def _compared(row: Row, rows: Mapping[str, Row]) -> Row:
    direct = rows.get(DIRECT)
    others = [rows.get(name) if name != row.target else None for name in (DIRECT, NGINX, PROXY)]
    ratios = [None if other is None else (row.per_second or 0) / (other.per_second or 1) for other in others]
    added = None if direct is None or row.target == DIRECT else (row.p50 or 0) - (direct.p50 or 0)
    return replace(row, added=added, ratios=ratios)


def _judged(case: Case, row: Row) -> Row:
    return row if row.target != GATEWAY else replace(row, verdict=case.judge(row))
