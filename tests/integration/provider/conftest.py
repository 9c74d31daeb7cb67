from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.provider import bench


@pytest.fixture(scope="module")
def runpod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bench.Emulator]:
    folder = tmp_path_factory.mktemp("runpod") / "state"
    folder.mkdir()
    with bench.emulator(folder) as running:
        yield running
        assert running.control("violations") == []


@pytest.fixture
def stack(runpod: bench.Emulator, tmp_path: Path) -> Iterator[bench.Stack]:
    engine = bench.engine_folder()
    if engine is None:
        pytest.skip("no Pulumi engine: run `make setup`")
    yield bench.new_stack(tmp_path, engine, runpod.url)
    runpod.control("faults", [])
    runpod.control("conditions", {})
    runpod.clear()
