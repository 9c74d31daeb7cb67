"""A clone whose local environment runs on volumes as RunPod's are, for the proofs of what they may do to it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.checkout import lent_checkout
from tests.emulator.runtimes import volume_servers
from tests.integration.faults.bench import Bench, new_bench

NOT_HERE = "only root on Linux" if os.geteuid() else volume_servers.why_not()
"""Why there are no such volumes on this machine; None when there are."""


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """The one clone of these tests; its emulator runs and its stack has nothing."""
    if NOT_HERE:
        pytest.skip(f"no volumes by FUSE: {NOT_HERE}")
    with lent_checkout() as checkout:
        made = new_bench(checkout)
        checkout.made("preview")
        made.account.conditions(volume_kind="fuse")
        yield made
        assert made.account.ask("violations") == []


@pytest.fixture(params=["ignored", pytest.param("obeyed", marks=pytest.mark.nightly)])
def modes(bench: Bench, request: pytest.FixtureRequest) -> Iterator[str]:
    """Volumes that ignore modes, as most data centres' do, and volumes that obey them."""
    bench.account.conditions(volume_modes=request.param)
    yield request.param
    bench.account.conditions(volume_modes="ignored", volume_megabytes=0)
    bench.checkout.made("destroy")
