"""Clones for the tests that use the project as a person does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.checkout import ROOT, Checkout, clean_environment, clone, end, lent_checkout
from tests.emulator.public_ports import Reservation


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A clone owned by whoever runs the tests."""
    with lent_checkout() as made:
        yield made


@pytest.fixture(scope="module")
def unprivileged_checkout() -> Iterator[Checkout]:
    """A clone owned by `nobody`, who finds the engine on PATH and has no right to make namespaces."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; run as a plain user, the other tests already are unprivileged")
    folder = Path(tempfile.mkdtemp(prefix="comfyui-runpod-nobody-"))
    clone(folder / "project")
    _copy_engine(folder / "engine")
    environment = clean_environment(HOME=str(folder), PATH=f"{folder}/engine:/usr/local/bin:/usr/bin:/bin:/usr/sbin")
    made = Checkout(folder / "project", environment, ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"))
    subprocess.run(["chown", "-R", "nobody:nogroup", str(folder)], check=True)
    reserved = Reservation()
    made.move_to_port(reserved.port)
    yield made
    end(made)
    reserved.end()
    shutil.rmtree(folder)


def _copy_engine(target: Path) -> None:
    chosen = json.loads((ROOT / ".cache/setup.json").read_text(encoding="utf-8"))
    shutil.copytree(chosen["engine"]["folder"], target)
