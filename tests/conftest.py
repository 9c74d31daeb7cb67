"""What holds for every test."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, and no bound on the time of one: a busy machine is no counterexample. Tests that are
# to try others each time say so themselves.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

LONGEST_FIRST = ("integration/proof", "e2e", "integration", "")
"""Folders of this one, in the order in which their tests begin: a long one that began last would be waited for."""

# A run that was started in the background ignores Ctrl-C, and so would all it starts; some tests need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Programs that tests start again and again keep their bytecode: else each start would compile all it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests into that order; within a folder they keep theirs."""
    here = Path(__file__).parent
    items.sort(key=lambda item: _turn(item.path.relative_to(here).as_posix()))


def _turn(path: str) -> int:
    return next(turn for turn, folder in enumerate(LONGEST_FIRST) if path.startswith(folder))
