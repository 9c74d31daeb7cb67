"""A run that is killed on one machine is continued on another, which shares the state and nothing else with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proof.declared import GUARD, LATE_EFFECT, Program
from tests.integration.proof.model import Engine
from tests.integration.proof.process import Death
from tests.integration.proof.runpod import RunPod, in_thread
from tests.unit.emulator.harness import NOON

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MANY_CALLS = 60
POST = {"method": "POST", "path": "^/v2/(pods|network-volumes)$"}
IN_FLIGHT: dict[str, list[dict[str, Any]]] = {
    "answered": [],
    "lost": [{**POST, "do": {"reset_after": True}}],
    "late": [{**POST, "do": {"late_seconds": LATE_EFFECT / 2}}],
}

STRIDE = {"answered": 2, "lost": 3, "late": 1}
"""Every so manyth call is one to be killed before; where nobody knows what comes yet, each."""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPod]:
    with in_thread(tmp_path_factory.mktemp("runpod"), base=lambda: NOON) as running:
        yield running


def killed_after(here: Engine, runpod: RunPod, calls: int, flight: str) -> bool:
    """Bring the stack up until the provider is killed; say whether it was."""
    runpod.faults(*IN_FLIGHT[flight])
    here.up(Program(), Death(calls))
    runpod.faults()
    return any("killed" in line for line in here.reporter.said)


@pytest.mark.parametrize("then", ["up", "destroy"])
@pytest.mark.parametrize("flight", IN_FLIGHT)
def test_killed_before_any_call_another_machine_leaves_no_orphan(
    runpod: RunPod, tmp_path: Path, flight: str, then: str
) -> None:
    for calls in range(0, MANY_CALLS, STRIDE[flight]):
        here = Engine(tmp_path / f"{calls}-here", runpod, reads_state=False)
        here.tells = True
        if not killed_after(here, runpod, calls, flight):
            assert calls > 10, "it was killed before each of a whole run's calls"
            assert here.destroy(), here.reporter.said
            return
        there = here.elsewhere(tmp_path / f"{calls}-there")
        if then == "up":
            assert there.up(Program(), refresh=True), (calls, there.reporter.said)
            runpod.pass_time(2 * LATE_EFFECT)
            assert runpod.holds() == there.ids(), (calls, there.reporter.said)
        assert there.destroy(), (calls, there.reporter.said)
        runpod.pass_time(2 * LATE_EFFECT)
        assert not [entry for entry in there.state if entry.urn == GUARD]
        assert runpod.holds() == set(), (calls, there.reporter.said)
        there.begun.clear()
    pytest.fail("a run of that many calls")
