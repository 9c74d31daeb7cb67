"""A volume that is full at any moment of a first `make up`: one clear error at once, and a larger size goes on."""

from __future__ import annotations

import random
import time

import pytest

from tests.integration.faults.bench import Bench, refusal

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]

SECONDS = 60.0
"""How long `make up` may take from the first write that is refused to its end."""
SEED = 20261129


@pytest.mark.slow
def test_a_volume_that_fills_up_is_told_at_once_and_a_larger_one_goes_on(bench: Bench, modes: str) -> None:
    fill_up_at(bench, moments(bench, rounds=3, seed=f"{SEED} {modes}"))


@pytest.mark.nightly
def test_a_volume_that_fills_up_at_twenty_moments(bench: Bench, modes: str) -> None:
    fill_up_at(bench, moments(bench, rounds=20, seed=f"{SEED} nightly {modes}"))


def moments(bench: Bench, *, rounds: int, seed: str) -> list[int]:
    """Return sizes in MB, spread at random over what an installation takes on the volume."""
    bench.checkout.made("up")
    taken = int(bench.checkout.made("ssh", "CMD=du -sm --apparent-size /persistent/volume").out.split()[0])
    bench.checkout.made("destroy")
    chance = random.Random(seed)
    return [chance.randrange(1, taken) for _ in range(rounds)]


def fill_up_at(bench: Bench, sizes: list[int]) -> None:
    for size in sizes:
        bench.account.conditions(volume_megabytes=size)
        began = time.monotonic()
        failed = bench.checkout.make("up")
        told = refusal(failed)
        took = time.monotonic() - began
        print(f"full at {size} MB: `make up` ended after {took:.0f} s")
        assert "volume.sizeGb" in told, failed.text
        bench.account.conditions(volume_megabytes=0)
        began = time.monotonic()
        bench.checkout.made("up")
        whole = time.monotonic() - began
        assert took < whole + SECONDS, "it did not end at once"
        bench.checkout.made("destroy")
