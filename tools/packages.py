"""The virtual environment with exactly the locked packages, and this project in it, editable."""

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

# setuptools is locked with the rest, so the editable install needs no build environment from the index.
_EDITABLE = ["--no-deps", "--no-build-isolation", "--quiet", "--editable"]
_LOCKED = ["--require-hashes", "--no-deps", "--quiet", "--requirement"]


def install(paths: SetupPaths, environ: Mapping[str, str]) -> None:
    """Make `.venv` and fill it from the lock. A broken or foreign one is made anew.

    Raises:
        SetupError: pip failed; the message holds the end of its output.
    """
    python, stamp = paths.venv / "bin" / "python", paths.venv / "installed.sha256"
    wanted = _fingerprint(paths)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not _is_ours(paths.venv):
        say("making .venv")
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
    """Install the lock with uv, in a tenth of pip's time; with pip where uv cannot work."""
    lock = paths.checkout / "requirements.lock"
    try:
        run("installing uv", [*pip, *_LOCKED, str(_only_uv(paths, lock))], log=paths.cache / "pip-uv.log", env=environ)
        settings = pip_settings.for_uv(Path(pip[0]), environ)
        command = _uv(paths.venv / "bin", lock, environ)
        run("installing the locked packages", command, log=paths.cache / "uv.log", env=settings)
    except SetupError as error:
        say(f"uv cannot install here, pip takes over: {error}")
        run("installing the locked packages", [*pip, *_LOCKED, str(lock)], log=paths.cache / "pip.log", env=environ)


def _uv(programs: Path, lock: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the command that installs a lock beside the Python in `programs`."""
    # Where Python keeps no bytecode, every one of many hundred processes would compile what it imports.
    kept = ["--compile-bytecode"] if environ.get("PYTHONDONTWRITEBYTECODE") else []
    return [str(programs / "uv"), "pip", "install", "--python", str(programs / "python"), *kept, *_LOCKED, str(lock)]


def _only_uv(paths: SetupPaths, lock: Path) -> Path:
    """Write uv's own lines of the lock, with their hashes, to a file for pip."""
    found = re.search(r"^uv==.*?(?<!\\)$", lock.read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        raise SetupError(f"{lock.name} does not hold uv; lock the packages again as pyproject.toml says")
    paths.cache.mkdir(parents=True, exist_ok=True)
    target = paths.cache / "uv.requirements"
    target.write_text(found[0] + "\n")
    return target


def _fingerprint(paths: SetupPaths) -> str:
    """A hash of what the environment is made from; the stamp lies in it and goes with it."""
    digest = hashlib.sha256(f"{sys.version}\0{paths.checkout}\0".encode())
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((paths.checkout / name).read_bytes())
    return digest.hexdigest()


def _is_ours(folder: Path) -> bool:
    """Whether the environment works and was made by this very version of Python."""
    config = folder / "pyvenv.cfg"
    if not config.is_file() or not (folder / "bin" / "pip").exists():
        return False
    version = ".".join(str(part) for part in sys.version_info[:2])
    return any(
        line.startswith("version") and line.split("=")[1].strip().startswith(f"{version}.")
        for line in config.read_text().splitlines()
    )
