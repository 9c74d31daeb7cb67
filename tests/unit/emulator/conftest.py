"""Fixtures of the emulator's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.emulator.harness import Api, running


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A RunPod of the test's own."""
    async with running(tmp_path) as api:
        yield api
