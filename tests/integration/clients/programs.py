"""Node and npm for the official TypeScript client, which is installed once from a lock with hashes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import playwright

from tools.paths import find

LOCK = Path(__file__).parent / "node" / "package-lock.json"
LEAST_NODE = 22
"""What @comfyorg/sdk asks for in its package.json."""
INSTALL_SECONDS = 240


class MissingError(Exception):
    """A program or package that is not here; the text says which, and where it could come from."""


def node() -> Path:
    """Return a Node that is new enough: the machine's own, or the one that playwright brings along."""
    brought = Path(playwright.__file__).parent / "driver" / "node"
    for candidate in (shutil.which("node"), str(brought) if brought.is_file() else None):
        if candidate is not None and _major(candidate) >= LEAST_NODE:
            return Path(candidate)
    raise MissingError(f"no Node {LEAST_NODE} or newer on PATH, and none in the playwright package")


def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    number = said.strip().removeprefix("v").partition(".")[0]
    return int(number) if number.isdigit() else 0


def node_modules() -> Path:
    """Return the folder with the locked packages, installing them when it is not there yet; raises MissingError."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = find(dict(os.environ)).cache / "node" / digest
    if not (folder / "node_modules").is_dir():
        _install(folder)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingError("npm is not here; Debian's package npm has it")
    # Made beside it and moved: a run that is killed here leaves nothing half installed, and two may run at once.
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.copytree(LOCK.parent, draft)
    try:
        # `ci` takes what the lock says and refuses what has another hash; no package's script is run.
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=draft, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
        if done.returncode != 0:
            raise MissingError(f"npm ci: {done.stderr.strip()[-400:]}")
        # The other one may have been quicker, and then what it put there is as good.
        with suppress(OSError):
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
