"""The virtual environment with the locked packages and an editable install of this project."""

import hashlib
import re
import shutil
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

from tools import pip_settings
from tools.errors import SetupError
from tools.paths import SetupPaths
from tools.progress import run, say

# setuptools is in the lock, so the editable install needs no build environment from the package index.
_EDITABLE = ["--no-deps", "--no-build-isolation", "--quiet", "--editable"]
_LOCKED = ["--require-hashes", "--no-deps", "--quiet", "--requirement"]


def install(paths: SetupPaths, environ: Mapping[str, str]) -> None:
    """Create `.venv` and install the lock. A broken environment or one of another Python is created again.

    Raises:
        SetupError: pip failed; the message contains the end of its output.
    """
    python, stamp = paths.venv / "bin" / "python", paths.venv / "installed.sha256"
    wanted = _fingerprint(paths)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not _is_ours(paths.venv):
        say("creating .venv")
        shutil.rmtree(paths.venv, ignore_errors=True)
        venv.create(paths.venv, with_pip=True, symlinks=True, prompt="comfyui-runpod")
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    say("installing the locked Python packages")
    _fill(paths, pip, environ)
    run(
        "installing this project, editable",
        [*pip, *_EDITABLE, str(paths.checkout)],
        log=paths.cache / "pip-editable.log",
        env=environ,
    )
    stamp.write_text(wanted)


def _fill(paths: SetupPaths, pip: list[str], environ: Mapping[str, str]) -> None:
    """Install the lock with uv, in a tenth of pip's time, or with pip if uv fails."""
    lock = paths.checkout / "requirements.lock"
    try:
        run("installing uv", [*pip, *_LOCKED, str(_only_uv(paths, lock))], log=paths.cache / "pip-uv.log", env=environ)
        settings = pip_settings.for_uv(Path(pip[0]), environ)
        command = _uv(paths.venv / "bin", lock, environ)
        run("installing the locked packages", command, log=paths.cache / "uv.log", env=settings)
    except SetupError as error:
        say(f"uv failed, installing with pip instead: {error}")
        run("installing the locked packages", [*pip, *_LOCKED, str(lock)], log=paths.cache / "pip.log", env=environ)


def _uv(programs: Path, lock: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the command that installs a lock for the Python in `programs`."""
    # If Python writes no bytecode, each of many hundred processes would compile its imports.
    kept = ["--compile-bytecode"] if environ.get("PYTHONDONTWRITEBYTECODE") else []
    return [str(programs / "uv"), "pip", "install", "--python", str(programs / "python"), *kept, *_LOCKED, str(lock)]


def _only_uv(paths: SetupPaths, lock: Path) -> Path:
    """Write the lock's lines for uv, with their hashes, to a file for pip."""
    found = re.search(r"^uv==.*?(?<!\\)$", lock.read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        raise SetupError(f"{lock.name} does not contain uv; compile the lock again as described in pyproject.toml")
    paths.cache.mkdir(parents=True, exist_ok=True)
    target = paths.cache / "uv.requirements"
    target.write_text(found[0] + "\n")
    return target


def _fingerprint(paths: SetupPaths) -> str:
    """Return a hash of the environment's inputs, which is stored in the environment."""
    digest = hashlib.sha256(f"{sys.version}\0{paths.checkout}\0".encode())
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((paths.checkout / name).read_bytes())
    return digest.hexdigest()


def _is_ours(folder: Path) -> bool:
    """Return whether the environment works and was created by this version of Python."""
    config = folder / "pyvenv.cfg"
    if not config.is_file() or not (folder / "bin" / "pip").exists():
        return False
    version = ".".join(str(part) for part in sys.version_info[:2])
    return any(
        line.startswith("version") and line.split("=")[1].strip().startswith(f"{version}.")
        for line in config.read_text().splitlines()
    )
