"""The real program with every environment file: up, and a second preview that has nothing to do.

The installer alone is left out: it answers at once, as it does when nothing has changed. The environments are those of
the repository but for the address of the API; `tests/integration/faults` does the same for `local` with the installer.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.cli.checkout import Checkout
from tests.integration.proof.runpod import RunPod
from tests.integration.proof.site import KEY, PLUGIN, Site, prepared_environ
from tests.integration.provider import bench

pytestmark = pytest.mark.timeout(1500)
ENVIRONMENTS = sorted(file.name.split(".")[1] for file in (bench.CHECKOUT / "stacks").glob("Pulumi.*.yaml"))
INSTALLER = """#!/bin/sh
cat > /dev/null
echo '{"models": []}'
"""


@pytest.fixture(scope="module")
def checkout(account: RunPod, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the real program and settings, and an installer that has nothing to do."""
    folder = tmp_path_factory.mktemp("environments") / "checkout"
    for name in ("stacks", "program", ".cache", ".state", ".venv/bin"):
        (folder / name).mkdir(parents=True)
    # The program alone: what it imports, and what that reads, is the repository's own.
    shutil.copy(bench.CHECKOUT / "stacks" / "__main__.py", folder / "program")
    installer = folder / ".venv" / "bin" / "python"
    installer.write_text(INSTALLER)
    installer.chmod(0o755)
    project = yaml.safe_load((bench.CHECKOUT / "Pulumi.yaml").read_text())
    # The program runs with the Python on PATH: the checkout's own is the installer.
    project |= {"runtime": "python", "main": "program"}
    project["plugins"]["providers"][0]["path"] = str(PLUGIN)
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    (folder / ".cache" / "setup.json").write_text((bench.CHECKOUT / ".cache" / "setup.json").read_text())
    for env in ENVIRONMENTS:
        (folder / "stacks" / f"Pulumi.{env}.yaml").write_text(yaml.safe_dump(settings(env, account.url)))
    return folder


def settings(env: str, url: str) -> dict[str, Any]:
    """The environment's file with the emulator's address, and without secrets of other passphrases."""
    document = yaml.safe_load((bench.CHECKOUT / "stacks" / f"Pulumi.{env}.yaml").read_text())
    document.pop("encryptionsalt", None)
    config = {name: value for name, value in document["config"].items() if "secure" not in str(value)}
    return {"config": config | {"runpod:apiUrl": url}}


@pytest.mark.slow
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_second_preview_is_empty(checkout: Path, engine: Path, runpod: RunPod, env: str) -> None:
    environment_checkout = Checkout(checkout, env)
    site = Site(environment_checkout, prepared_environ(environment_checkout))
    site.run("stack", "init")
    site.run("config", "set", "--secret", "runpod:apiKey", KEY)
    site.up()
    outputs = json.loads(site.run("stack", "output", "--json"))
    assert [pod.id for pod in runpod.pods()] == [outputs["podId"]]
    shown = site.run("preview", "--expect-no-changes", "--diff")
    assert "error" not in shown
    volume = environment_checkout.stack_yaml()["config"]["comfyui-runpod:volume"]
    if volume.get("protect"):
        assert "cannot be deleted" in site.pulumi_destroy(fails=True)
        assert outputs["volumeId"] in runpod.holds()
        site.run("state", "unprotect", "--all", "--yes")
    site.pulumi_destroy()
    keeps = bool(volume.get("keep"))
    assert runpod.holds() == ({outputs["volumeId"]} if keeps else set())


def test_every_environment_is_here() -> None:
    assert {"local", "dev", "staging", "prod"} <= set(ENVIRONMENTS)
