"""Clones for the tests that use the project as a person does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.checkout import Checkout, clean_environment, clone

ENGINE_NAMES = ("pulumi", "pulumi-language-python")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(checkout: Checkout) -> None:
    """Leave nothing behind, whatever the test did: no pod, no emulator, no folder."""
    checkout.make("destroy", timeout=300)
    checkout.make("stop-emulator", "PODS=1", timeout=120)


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A clone owned by whoever runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="comfyui-runpod-e2e-"))
    clone(folder / "project")
    made = Checkout(folder / "project", clean_environment())
    made.move_to_port(_free_port())
    yield made
    _end(made)
    shutil.rmtree(folder)


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
    made.move_to_port(_free_port())
    yield made
    _end(made)
    shutil.rmtree(folder)


def _copy_engine(target: Path) -> None:
    found = shutil.which("pulumi")
    assert found, "make test puts the engine on PATH"
    shutil.copytree(Path(found).parent, target)
