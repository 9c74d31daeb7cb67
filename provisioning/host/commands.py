"""Runs the tools of the machine: bounded, without input, with their output kept for the error."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from provisioning.errors import InstallError

TAIL_LINES = 12


def run(args: Sequence[str], *, env: Mapping[str, str], timeout: float, cwd: Path | None = None) -> str:
    """Run a command to its end and return its output.

    Args:
        args: The command; nothing secret belongs here, other users of the machine can read it.
        env: The whole environment.
        timeout: Bound in seconds.
        cwd: Where it runs.

    Raises:
        InstallError: It failed or ran past its bound; the text ends with its last lines.
    """
    try:
        done = subprocess.run(
            list(args), env=dict(env), cwd=cwd, timeout=timeout, check=False, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise InstallError(f"{args[0]} is not on this machine; use an image that has it") from error
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"{_shown(args)} did not end within {timeout:.0f} s; look at the pod's network") from error
    if done.returncode:
        raise InstallError(f"{_shown(args)} ended with status {done.returncode}:\n{tail(done.stdout)}")
    return done.stdout


def _shown(args: Sequence[str]) -> str:
    return " ".join(Path(args[0]).name if i == 0 else arg for i, arg in enumerate(args[:4]))


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a text."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
