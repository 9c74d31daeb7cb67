"""A market that moves under a healthy stack, with the real engine: no plan of anything, and changes go through."""

from __future__ import annotations

import pytest

from tests.integration.provider.bench import Emulator, Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("moves", [3, pytest.param(100, marks=pytest.mark.nightly)])
def test_a_market_that_moves_plans_nothing(stack: Stack, runpod: Emulator, moves: int) -> None:
    stack.up()
    before = stack.outputs()
    for seed in range(moves):
        runpod.control("market", {"move": seed})
        stack.run("preview", "--refresh", "--expect-no-changes")
    runpod.control("stock", [{"available": 0}])
    stack.config("x", "2")
    stack.up("--refresh")
    assert stack.outputs() == before
    assert runpod.pods()[0]["env"]["X"] == "2"
