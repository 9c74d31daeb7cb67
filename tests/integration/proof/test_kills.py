"""SIGKILL at a random moment of `up`, then `up` again: exactly one pod; then destroy: zero."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stacks.cli.pulumi.stack import POD, VOLUME
from tests.integration.proof import killing
from tests.integration.proof.killing import MOMENTS, VICTIMS, Hit, kill_up
from tests.integration.proof.runpod import RunPod
from tests.integration.proof.site import BOUND, PLUGIN, Site, new_site

pytestmark = pytest.mark.slow
SEED = int(os.environ.get("PROOF_SEED", "20261122"))
BOUND_SECONDS = 120.0
"""T: from the start of the second `up` to its end, on a loaded machine; late effects are waited for within it."""


def converge(site: Site, runpod: RunPod) -> float:
    """Run `up` after a kill; exactly one pod and one volume may bill, and the state must hold just those."""
    site.break_lock()
    began = time.monotonic()
    said = site.up()
    took = time.monotonic() - began
    assert len(runpod.pods()) == 1, f"exactly one pod, not {[pod.name for pod in runpod.pods()]}\n{said}"
    assert runpod.holds() == set(site.ids(POD) + site.ids(VOLUME)), said
    assert [pod.id for pod in runpod.pods()] == site.ids(), said
    assert took < BOUND_SECONDS
    return took


def one_round(site: Site, runpod: RunPod, number: int, aimed: str, monkeypatch: pytest.MonkeyPatch) -> Hit:
    draw = random.Random(f"{SEED}/{number}")
    hit = kill_up(site, runpod, draw, aimed, VICTIMS[number % 3])
    took = converge(site, runpod)
    if number % 2:
        assert site.make_destroy(monkeypatch) == 0
    else:
        site.pulumi_destroy()
    orphans = runpod.holds()
    print(f"round {number} (seed {SEED}/{number}): {hit}, up again {took:.1f} s, orphans {len(orphans)}", flush=True)
    assert orphans == set()
    return hit


def rounds(site: Site, runpod: RunPod, aims: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    hits = [one_round(site, runpod, number, aim, monkeypatch) for number, aim in enumerate(aims)]
    histogram = Counter(hit.moment for hit in hits)
    print(f"moments hit: {dict(histogram)}; victims: {dict(Counter(hit.victim for hit in hits))}; orphans: 0")
    return histogram


@pytest.mark.timeout(1800)
def test_killed_anywhere_up_makes_one_pod_and_destroy_leaves_none(
    shared: Site, runpod: RunPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three moments, each with another victim.

    `provider/test_crashes.py` kills while a pod is waited for, and the nightly loop at every moment.
    """
    aims = ("in flight", "after the effect", "provisioning")
    assert sum(rounds(shared, runpod, aims, monkeypatch).values()) == len(aims)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_killed_sixty_times_every_moment_is_hit_five_times(
    shared: Site, runpod: RunPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Victims take turns by threes and ways to end by twos, so the moments must not take turns by fives in step.
    aims = [MOMENTS[number % 5] for number in range(60)]
    random.Random(SEED).shuffle(aims)
    histogram = rounds(shared, runpod, aims, monkeypatch)
    assert min(histogram[moment] for moment in MOMENTS) >= 5, histogram


def test_an_up_that_ended_before_its_kill_came_is_undone_and_another_is_killed(
    site: Site, runpod: RunPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that is faster than the kill: the first ends by itself, the next is hit."""
    waits, await_moment = [0], killing._await_moment

    def late(*arguments: Any) -> None:  # noqa: ANN401 - those of the function in whose place it stands
        waits[0] += 1
        if waits[0] < 3:
            arguments[-1].wait(BOUND)
        else:
            await_moment(*arguments)

    monkeypatch.setattr(killing, "_await_moment", late)
    with pytest.raises(AssertionError, match="had ended before its kill came"):
        kill_up(site, runpod, random.Random(SEED), "in flight", "tree", draws=1)
    assert runpod.holds() == set()
    hit = kill_up(site, runpod, random.Random(SEED), "in flight", "tree")
    assert (waits, hit.moment) == ([3], "in flight")
    converge(site, runpod)


WITHOUT_ADOPTION = """#!/bin/sh
RUNPOD_PLUGIN_PARENT=$PPID exec {python} -P -c '
import sys
from components.runpod.plugin.__main__ import main
from components.runpod.plugin.lifecycle.creation import Creation
Creation._adopt = lambda self: None
sys.exit(main(sys.argv[1:]))
' "$@"
"""


def test_without_adoption_the_same_round_is_red(runpod: RunPod, engine: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    shutil.copy(PLUGIN / "PulumiPlugin.yaml", plugin) if (PLUGIN / "PulumiPlugin.yaml").exists() else None
    launcher = plugin / "pulumi-resource-runpod"
    launcher.write_text(WITHOUT_ADOPTION.format(python=PLUGIN.parents[2] / ".venv" / "bin" / "python"))
    launcher.chmod(0o755)
    site = new_site(tmp_path / "checkout", engine, runpod.url, plugin=plugin)
    hit = kill_up(site, runpod, random.Random(SEED), "waiting for ready", "tree")
    assert hit.moment == "waiting for ready"
    with pytest.raises(AssertionError, match="exactly one pod"):
        converge(site, runpod)
