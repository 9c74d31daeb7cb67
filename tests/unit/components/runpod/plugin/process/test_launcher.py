from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from components.runpod import plugin

LAUNCHER = Path(plugin.__file__).with_name("pulumi-resource-runpod")


def test_a_checkout_without_set_up_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "components" / "runpod" / "plugin"
    folder.mkdir(parents=True)
    shutil.copy(LAUNCHER, folder)
    ended = subprocess.run([folder / LAUNCHER.name, "127.0.0.1:1"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert f"{tmp_path}/.venv/bin/python is missing" in ended.stderr


def test_without_an_engine_the_plugin_prints_its_purpose() -> None:
    command = [sys.executable, "-m", "components.runpod.plugin"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "started by the Pulumi engine" in ended.stderr
