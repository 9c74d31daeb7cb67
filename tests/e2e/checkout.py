"""A clone of the project in a folder of its own, used by make, git and curl alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulator.public_ports import Reservation

ROOT = Path(__file__).parents[2]
LOCAL_SETTINGS = "stacks/Pulumi.local.yaml"
LOCAL_MODELS = "stacks/models/stand-in.yaml"
DROPPED = ("PULUMI_", "RUNPOD_", "PYTEST_", "COV_", "VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Checkout:
    """A clone, the user it belongs to, and the environment a fresh shell of that user has."""

    path: Path
    env: dict[str, str]
    prefix: tuple[str, ...] = ()

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.prefix, *command],
            cwd=self.path,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, timeout: float = 1200) -> Result:
        process = self.start(*command)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"{command} took over {timeout:g} s; it had printed:\n{out}{err}") from None
        return Result(process.returncode, out, err)

    def make(self, *words: str, timeout: float = 1200) -> Result:
        return self.run("make", *words, timeout=timeout)

    def made(self, *words: str, timeout: float = 1200) -> Result:
        result = self.make(*words, timeout=timeout)
        assert result.code == 0, f"make {' '.join(words)} ended with {result.code}:\n{result.text}"
        return result

    def shell(self, line: str, timeout: float = 120) -> Result:
        return self.run("bash", "-c", line, timeout=timeout)

    def json(self, *words: str) -> Any:  # noqa: ANN401  (what a target prints is what is being tested)
        return json.loads(self.made("-s", *words).out)

    def settings(self) -> str:
        return (self.path / LOCAL_SETTINGS).read_text(encoding="utf-8")

    def change_settings(self, old: str, new: str) -> None:
        text = self.settings()
        assert old in text, f"{LOCAL_SETTINGS} does not hold {old!r}"
        (self.path / LOCAL_SETTINGS).write_text(text.replace(old, new), encoding="utf-8")

    def dirty(self) -> str:
        return self.run("git", "status", "--short").out

    def move_to_port(self, port: int) -> None:
        """Let the emulator of this checkout listen elsewhere, so that a developer's own one is left alone."""
        for name in (LOCAL_SETTINGS, LOCAL_MODELS):
            file = self.path / name
            moved = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", file.read_text(encoding="utf-8"))
            file.write_text(moved, encoding="utf-8")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "Another port")


def clean_environment(**changes: str) -> dict[str, str]:
    """Return the environment of a fresh shell: nothing of the running test, engine or virtual environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    ours = (".venv", "/engine/")
    kept["PATH"] = os.pathsep.join(p for p in kept["PATH"].split(os.pathsep) if not any(part in p for part in ours))
    return kept | changes


@contextmanager
def lent_checkout(revision: str = "HEAD") -> Iterator[Checkout]:
    """A clone owned by whoever runs the tests, on a port of its own; afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="comfyui-runpod-e2e-"))
    clone(folder / "project", revision)
    made = Checkout(folder / "project", clean_environment())
    reserved = Reservation()
    made.move_to_port(reserved.port)
    try:
        yield made
    finally:
        end(made)
        reserved.end()
        shutil.rmtree(folder)


def end(checkout: Checkout) -> None:
    """Leave nothing behind, whatever the test did: no pod, no emulator."""
    checkout.make("destroy", timeout=300)
    checkout.make("stop-emulator", timeout=120)


def clone(target: Path, revision: str = "HEAD") -> None:
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(target)], check=True)
    subprocess.run(["git", "-C", str(target), "checkout", "-q", "-B", "work", revision], check=True)
