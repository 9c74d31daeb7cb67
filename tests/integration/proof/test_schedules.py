"""Hypothesis drives fault schedule x sequence of commands: what bills is what the state knows, or what was reported.

The provider, the API client, the sweep's rules and the emulator are real; the engine is played by `model`, so that a
sequence takes a fraction of a second. `test_kills` and `test_engine` do the same with the real engine, for few.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.integration.proof.declared import POD, Program
from tests.integration.proof.model import Engine
from tests.integration.proof.process import Death
from tests.integration.proof.runpod import RunPod, in_thread
from tests.unit.emulator.harness import NOON

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("PROOF_SEED", "20261122"))
QUICK = settings(
    deadline=None,
    database=None,
    print_blob=True,
    # A sequence takes a second, so the search for the shortest one that fails would take an hour.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
CALLS = (
    "POST ^/v2/pods$",
    "POST ^/v2/network-volumes$",
    "PATCH /v2/pods/",
    "DELETE /v2/",
    "GET ^/v2/pods$",
    "GET /v2/pods/",
    "* .*",
)
EFFECTS: tuple[dict[str, Any], ...] = (
    {"status": 429, "headers": {"Retry-After": "3"}},
    {"status": 500},
    {"status": 500, "effect": True},
    {"status": 502, "body": "<html>bad gateway</html>"},
    {"status": 503},
    {"status": 504},
    {"reset_before": True},
    {"reset_after": True},
    {"late_seconds": 25.0},
    {"status": 404, "body": "404 page not found"},
    {"status": 200, "body": "<html>welcome</html>"},
    {"status": 403, "body": "<html>Error code: 1010</html>"},
    {"status": 402},
)

COMMANDS = (
    *("up", "up", "up", "change", "replace", "replace after", "target-replace"),
    *("up refresh", "refresh", "destroy", "sweep", "stop", "lose"),
)


@dataclass(frozen=True)
class Step:
    """One command with the weather it meets."""

    command: str
    faults: tuple[dict[str, Any], ...] = ()
    death: Death = field(default_factory=Death)
    lag: float = 0.0


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    method, path = draw(st.sampled_from(CALLS)).split(" ")
    first = draw(st.integers(1, 6))
    nth = [first, first + 1] if draw(st.booleans()) else [first]
    return {"method": method, "path": path, "nth": nth, "do": draw(st.sampled_from(EFFECTS))}


deaths = st.one_of(
    st.just(Death()),
    st.builds(Death, calls=st.integers(0, 12)),
    st.builds(Death, step=st.sampled_from(("unsaved", "unacknowledged"))),
)
steps = st.builds(
    Step,
    command=st.sampled_from(COMMANDS),
    faults=st.lists(rules(), max_size=2).map(tuple),
    death=deaths,
    lag=st.sampled_from((0.0, 0.0, 15.0)),
)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPod]:
    with in_thread(tmp_path_factory.mktemp("runpod"), base=lambda: NOON) as running:
        yield running


def carry_out(engine: Engine, runpod: RunPod, program: Program, step: Step) -> Program:
    """Run one command; return what is declared from now on."""
    death = step.death
    match step.command:
        case "up":
            engine.up(program, death)
        case "up refresh":
            engine.up(program, death, refresh=True)
        case "change":
            program = replace(program, image="image:2" if program.image == "image:1" else "image:1")
            engine.up(program, death)
        case "replace" | "replace after":
            program = replace(program, gpus=tuple(reversed(program.gpus))[:1], before=step.command == "replace")
            engine.up(program, death)
        case "target-replace":
            engine.up(program, death, target_replace=True)
        case "refresh":
            engine.refresh(death)
        case "destroy":
            engine.destroy(death)
        case "sweep":
            engine.sweep()
        case out_of_band:
            for pod in runpod.pods()[:1]:
                runpod.stop(pod) if out_of_band == "stop" else runpod.lose(pod)
    return program


def assert_nothing_bills_unknown(engine: Engine, runpod: RunPod, step: Step) -> None:
    """What bills is in the state, or in a record that the next command reads, or was named by this command."""
    recorded = {intent.marker for intent in engine.intents._all()}
    said = "\n".join(engine.reporter.said)
    markers = runpod.markers()
    unknown = {one for one in runpod.holds() - engine.ids() if str(markers[one]) not in recorded and one not in said}
    assert unknown == set(), f"after {step}: {unknown} bill and nobody knows; said: {said}"


def assert_it_converges(engine: Engine, runpod: RunPod, program: Program) -> None:
    """Without faults one `up` makes exactly one pod and one volume, and a second has nothing to do."""
    runpod.calm()
    assert engine.up(program, refresh=True), engine.reporter.said
    runpod.pass_time(120)
    assert engine.up(program, refresh=True), engine.reporter.said
    pods = {pod.id for pod in runpod.pods()}
    assert pods == {entry.id for entry in engine.state if entry.urn == POD}
    assert len(pods) == 1
    made = runpod.requests("POST", "/v2/pods")
    assert engine.up(program), engine.reporter.said
    assert len(runpod.requests("POST", "/v2/pods")) == len(made)


def play(runpod: RunPod, sequence: list[Step], *, converge: bool, reads_state: bool) -> None:
    print(f"converge={converge} reads_state={reads_state}", *sequence, sep="\n  ")
    runpod.clear()
    with tempfile.TemporaryDirectory() as folder:
        engine, program = Engine(Path(folder), runpod, reads_state=reads_state), Program()
        for step in sequence:
            runpod.faults(*step.faults)
            runpod.conditions(list_lag_seconds=step.lag)
            program = carry_out(engine, runpod, program, step)
            assert_nothing_bills_unknown(engine, runpod, step)
        if converge:
            assert_it_converges(engine, runpod, program)
        runpod.faults()
        assert engine.destroy(), engine.reporter.said
        runpod.pass_time(120)
        assert runpod.holds() == set(), engine.reporter.said


@pytest.mark.timeout(1200)
@seed(SEED)
@settings(QUICK, max_examples=int(os.environ.get("PROOF_EXAMPLES", "40")))
@given(sequence=st.lists(steps, min_size=1, max_size=6), converge=st.booleans(), reads_state=st.booleans())
def test_what_bills_is_known_after_every_command(
    account: RunPod, sequence: list[Step], converge: bool, reads_state: bool
) -> None:
    play(account, sequence, converge=converge, reads_state=reads_state)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@settings(QUICK, max_examples=1500, derandomize=False)
@given(sequence=st.lists(steps, min_size=1, max_size=9), converge=st.booleans(), reads_state=st.booleans())
def test_what_bills_is_known_after_every_command_of_many(
    account: RunPod, sequence: list[Step], converge: bool, reads_state: bool
) -> None:
    play(account, sequence, converge=converge, reads_state=reads_state)
