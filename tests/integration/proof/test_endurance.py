"""Many runs in a row with chance faults, and what the provider costs an `up` beside one that does nothing."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import pytest

from tests.integration.proof.runpod import RunPod
from tests.integration.proof.site import Site, new_site

SEED = int(os.environ.get("PROOF_SEED", "20261122"))
RUNS = int(os.environ.get("PROOF_RUNS", "59"))
"""So many in a row without a failure show, with 95 % confidence, that more than 95 % succeed: 0.95 ** 59 < 0.05."""
FAULTS = (
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 500, "effect": True},
    {"status": 502, "body": "<html>bad gateway</html>"},
    {"status": 503},
    {"reset_before": True},
    {"reset_after": True},
)


def five_percent(number: int) -> list[dict[str, object]]:
    """Return rules that together act on 5 % of all calls, another way in each run."""
    share = 1 - 0.95 ** (1 / len(FAULTS))
    return [
        {"probability": share, "seed": SEED + 100 * number + kind, "do": do, "path": "^/v2/"}
        for kind, do in enumerate(FAULTS)
    ]


@pytest.mark.nightly
@pytest.mark.timeout(10_800)
def test_up_and_destroy_succeed_fifty_nine_times_in_bad_weather(shared: Site, runpod: RunPod) -> None:
    acted = calls = 0
    for number in range(RUNS):
        runpod.forget_requests()
        runpod.faults(*five_percent(number))
        shared.up()
        assert [pod.id for pod in runpod.pods()] == shared.ids()
        shared.pulumi_destroy()
        acted, calls = acted + runpod.acted(), calls + len(runpod.requests())
        assert runpod.holds() == set()
        print(f"run {number + 1} of {RUNS} (seed {SEED}): {acted} of {calls} calls disturbed so far", flush=True)


DUMMY = """
import pulumi
from components.runpod.secrets import RandomSecret
RandomSecret("dummy")
"""
POD = """
import pulumi
from components import runpod
guard = runpod.StackGuard("guard", stack=pulumi.get_stack())
runpod.Pod("pod", name_="gpu", image_name="image:1", gpu_type_id_list=["NVIDIA RTX A5000"], guard=guard.instance_id)
"""


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_what_a_pod_costs_an_up_beside_a_dummy(runpod: RunPod, engine: Path, tmp_path: Path) -> None:
    """The emulator answers at once and the pod is ready at once; the dummy is a resource that asks nobody."""
    runpod.conditions(provisioning_seconds=0.0, starting_seconds=0.0)
    took: dict[str, list[float]] = {"dummy": [], "pod": []}
    sites = {name: new_site(tmp_path / name, engine, runpod.url) for name in took}
    for name, program in (("dummy", DUMMY), ("pod", POD)):
        (sites[name].checkout.root / "program" / "__main__.py").write_text(program)
    for _ in range(5):
        for name, site in sites.items():
            began = time.monotonic()
            site.up()
            took[name].append(time.monotonic() - began)
            site.pulumi_destroy()
    dummy, pod = statistics.median(took["dummy"]), statistics.median(took["pod"])
    print(f"up of one pod {pod:.2f} s, of a dummy {dummy:.2f} s: ratio {pod / dummy:.2f} (medians of 5)")
    assert pod / dummy < 3, took
