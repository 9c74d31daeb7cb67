"""That the bench runs and judges, at sizes whose figures say nothing; and what it must never find, at any size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.gateway import __main__ as bench
from tests.bench.gateway import job_targets, jobs, requests, saturation
from tests.bench.gateway.job_client import JobTimes
from tests.bench.gateway.load import Run
from tests.bench.gateway.table import Row, head, verdict
from tests.bench.gateway.targets import DIRECT, GATEWAY, NGINX, PROXY, Target

TINY = bench.Effort(rounds=1, share=0.01)


@pytest.mark.slow
def test_requests_are_compared_with_every_way_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {(row.name, row.target): row for row in bench.run(["json", "images"], TINY)}
    ours = rows[requests.JSON[0].name, GATEWAY]
    assert ours.cpu_ms is not None
    assert ours.cpu_ms > 0
    assert ours.ratios[0] is not None
    assert "CPU" in ours.verdict
    assert {target for name, target in rows if name == requests.IMAGES[-1].name} == {PROXY, GATEWAY}
    assert ours.line() in capsys.readouterr().out


@pytest.mark.slow
def test_what_the_gateway_answers_alone() -> None:
    rows = bench.run(["own", "lists"], TINY)
    assert {row.target for row in rows} == {PROXY, GATEWAY}
    assert all(row.p50 for row in rows)


@pytest.mark.slow
def test_jobs_are_run_directly_and_through_the_gateway(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    bench.main(["jobs", "--share", "0.01", "--json", str(report)])
    rows = {(row["name"], row["target"]): row for row in json.loads(report.read_text())["rows"]}
    direct, ours = (rows[jobs.STEPS["picture"], name] for name in (DIRECT, GATEWAY))
    assert direct["p50"] > job_targets.STEPS * job_targets.STEP_SECONDS * 1000
    assert ours["added"] == pytest.approx(ours["p50"] - direct["p50"])
    assert "added" in ours["verdict"]
    assert "time to ComfyUI's" in rows["4 jobs of 2 clients", GATEWAY]["verdict"]


def test_a_jobs_figures_are_medians_beside_those_of_comfyui_alone() -> None:
    direct = jobs.Results([JobTimes(0.001, 0.2, 0.25)] * 3, rounds=[20.0, 40.0, 20.0], cpu=[0.1] * 3)
    ours = jobs.Results([JobTimes(0.002, 0.22, 0.29)] * 3, rounds=[22.0, 44.0, 30.0], cpu=[0.02, 0.01, 0.01])
    results = {DIRECT: direct, GATEWAY: ours}
    *_, picture = jobs.single_rows(results)
    assert (picture.p50, picture.p95) == pytest.approx((290, 290))
    assert picture.verdict == "added 40 ms, aim <= 30 ms: MISSED"
    *_, row = jobs.round_rows(results, jobs.Amount())
    assert row.verdict == "time to ComfyUI's 1.1, aim <= 1.2: met"
    assert (row.per_second, row.cpu_ms) == pytest.approx((100 / 30, 10))


@pytest.mark.slow
def test_listeners_are_counted_in_megabytes(tmp_path: Path) -> None:
    [row] = bench.PARTS["listeners"](tmp_path, TINY)
    assert "met" in row.verdict


@pytest.mark.slow
def test_many_clients_at_few_places_are_refused_politely(tmp_path: Path) -> None:
    answers = saturation.saturated(tmp_path, clients=40, slots=4, seconds=2)
    assert answers.faults == []
    assert answers.statuses[200] > 0
    assert answers.statuses[429] > 0
    assert answers.livez
    assert answers.idle


@pytest.mark.nightly
def test_two_hundred_clients_at_eight_places_are_refused_politely(tmp_path: Path) -> None:
    answers = saturation.saturated(tmp_path)
    assert answers.faults == []
    # Which are more says how fast refusals come, and they are spaced on purpose.
    assert answers.statuses[429] > 0
    assert answers.statuses[200] > 0


def test_an_impolite_refusal_is_found() -> None:
    answers = saturation.Answers()
    for head_ in (b"HTTP/1.1 429 x\r\nretry-after: 1\r\n\r\n", b"HTTP/1.1 429 x\r\n\r\n", b"HTTP/1.1 500 x\r\n\r\n"):
        answers.note(head_)
    assert answers.faults == ["1 x 500", "1 x 429 without Retry-After", "1 x 500 without Retry-After"]


def test_figures_are_medians_beside_those_of_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {DIRECT: [1.0, 9.0, 1.0], NGINX: [2.0, 2.0, 2.0], GATEWAY: [2.5, 2.5, 40.0]}
    # The first run is the one that warms up.
    runs = {name: [Run(10, 1, [each / 1000] * 10, each / 100) for each in [0, *ms]] for name, ms in took.items()}
    monkeypatch.setattr(requests, "_run", lambda case, target, share: runs[target.name].pop(0))
    targets = [Target(name, 0, 0) for name in took]
    *_, ours = requests.measured(requests.JSON[:1], targets, rounds=3, share=1.0)
    assert (ours.p50, ours.added, ours.cpu_ms, ours.ratios) == (2.5, 1.5, 2.5, [1.0, 1.0, None])
    assert ours.verdict == "CPU 2.5 ms, aim <= 0.3 ms: MISSED; added 1.5 ms, aim <= 0.5 ms: MISSED"


def test_a_figure_at_its_aim_has_met_it() -> None:
    assert verdict("p50", 20.0, " ms", 20.0) == "p50 20 ms, aim <= 20 ms: met"
    assert verdict("to nginx", 0.79, "", 0.8, least=True) == "to nginx 0.79, aim >= 0.8: MISSED"


def test_a_table_has_one_width() -> None:
    row = Row("x", "gateway", 1.0, 2.0, 3.0, 4.0, 5.0, (0.1, 0.2, 0.3), "met")
    assert row.line().index("met") == head().index("aim")
