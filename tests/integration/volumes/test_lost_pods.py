"""A pod that ends at random moments while clients use it: whatever was answered is there afterwards."""

from __future__ import annotations

import random
import time

import pytest

from tests.integration.faults.account import wait_until
from tests.integration.faults.bench import Bench
from tests.integration.volumes.load import Gateway, Promises, going_on, look

pytestmark = [pytest.mark.root, pytest.mark.timeout(7200)]

SEED = 20261129


@pytest.mark.slow
def test_nothing_that_was_answered_is_lost_with_a_pod(bench: Bench, modes: str) -> None:
    lose_pods(bench, restarts=3, replacements=1, seed=f"{SEED} {modes}")


@pytest.mark.nightly
def test_nothing_is_lost_at_fifty_moments(bench: Bench, modes: str) -> None:
    lose_pods(bench, restarts=45, replacements=5, seed=f"{SEED} nightly {modes}")


def lose_pods(bench: Bench, *, restarts: int, replacements: int, seed: str) -> None:
    """End the pod's container `restarts` times, and the pod itself `replacements` times, under load."""
    chance = random.Random(seed)
    bench.checkout.made("up")
    for number in range(replacements):
        share = restarts // replacements + (number < restarts % replacements)
        promises = _under_load(bench, chance, share)
        bench.checkout.made("up")
        _everything_is_there(bench, promises)


def _gateway(bench: Bench) -> Gateway:
    return Gateway(bench.checkout.json("output")["gatewayUrl"], bench.checkout.made("-s", "key").out.strip())


def _under_load(bench: Bench, chance: random.Random, restarts: int) -> Promises:
    gateway = _gateway(bench)
    wait_until(gateway.ready, "a gateway that takes jobs")
    (pod,) = bench.account.pods()
    with going_on(gateway, chance.getrandbits(32)) as promises:
        for _ in range(restarts):
            time.sleep(chance.uniform(0.5, 6))
            bench.account.tell(f"pods/{pod['id']}", {"do": "crash"})
            wait_until(gateway.ready, "the gateway after a restart of its pod")
        time.sleep(chance.uniform(0.5, 6))
        bench.account.tell(f"pods/{pod['id']}", {"do": "lose"})
    return promises


def _everything_is_there(bench: Bench, promises: Promises) -> None:
    gateway = _gateway(bench)
    wait_until(gateway.ready, "the gateway of the new pod")
    kept = look(gateway, promises)
    print(f"answered: {len(promises.jobs)} jobs, {len(promises.uploads)} uploads; {len(kept.lost)} of them lost")
    print(f"{kept.completed} jobs completed; otherwise: {sorted(set(kept.ended_otherwise.values()))}")
    assert promises.jobs
    assert promises.uploads
    assert kept.lost == []
    # A job that ran when its ComfyUI died twice is not run a third time, and says so.
    assert all("upstream_lost" in reason for reason in kept.ended_otherwise.values()), kept.ended_otherwise
