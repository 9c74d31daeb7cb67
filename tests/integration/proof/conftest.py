from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.proof.runpod import RunPod, in_thread
from tests.integration.proof.site import Site, new_site
from tests.integration.provider import bench


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPod]:
    with in_thread(tmp_path_factory.mktemp("runpod")) as running:
        yield running


@pytest.fixture
def runpod(account: RunPod) -> Iterator[RunPod]:
    """The module's RunPod, empty and without faults before and after each test."""
    account.clear()
    yield account
    account.clear()


@pytest.fixture(scope="session")
def engine() -> Path:
    folder = bench.engine_folder()
    if folder is None:
        pytest.skip("no Pulumi engine: run `make setup`")
    return folder


@pytest.fixture(scope="module")
def shared(account: RunPod, engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One checkout for a whole module: what one test leaves in its state and records is there for the next."""
    return new_site(tmp_path_factory.mktemp("checkout") / "one", engine, account.url, volume="true")


@pytest.fixture
def site(runpod: RunPod, engine: Path, tmp_path: Path) -> Site:
    """A checkout of the test's own, with a pod and no volume."""
    return new_site(tmp_path / "checkout", engine, runpod.url)
