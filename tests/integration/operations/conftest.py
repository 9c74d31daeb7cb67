from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.operations.site import Site, new_site
from tests.integration.provider import bench


@pytest.fixture(scope="module")
def runpod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bench.Emulator]:
    folder = tmp_path_factory.mktemp("runpod") / "state"
    folder.mkdir()
    with bench.emulator(folder) as running:
        yield running
        assert running.control("violations") == []


@pytest.fixture
def site(runpod: bench.Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    engine = bench.engine_folder()
    if engine is None:
        pytest.skip("no Pulumi engine: run `make setup`")
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "RUNPOD_"))]:
        monkeypatch.delenv(name)
    made = new_site(tmp_path / "checkout", engine, runpod.url)
    yield made
    for pod in runpod.pods():
        runpod.control(f"pods/{pod['id']}", {"do": "lose"})
    for volume in made.client.list_network_volumes():
        made.client.delete_network_volume(volume.id)
    for endpoint in made.client.endpoints.all():
        made.client.endpoints.update(endpoint.id, {"workers": {"min": 0, "max": 0}})
        made.client.endpoints.delete(endpoint.id)
    made.client.close()
