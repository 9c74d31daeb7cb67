from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.checkout import lent_checkout
from tests.integration.faults.bench import Bench, new_bench


@pytest.fixture(scope="session")
def checkout_bench() -> Iterator[Bench]:
    with lent_checkout() as checkout:
        bench = new_bench(checkout)
        yield bench
        if bench.answers():
            assert bench.account.ask("violations") == []


@pytest.fixture
def bench(checkout_bench: Bench) -> Iterator[Bench]:
    """The one clone of these tests; whatever a test changed in it is taken back."""
    with checkout_bench.untouched_afterwards():
        yield checkout_bench
