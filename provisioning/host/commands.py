"""Run commands with a time limit on inactivity, without input, and with their output in the error message."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from provisioning.errors import InstallError

TAIL_LINES = 12
LOOK_SECONDS = 5.0


def run(args: Sequence[str], *, env: Mapping[str, str], timeout: float, cwd: Path | None = None) -> str:
    """Run a command to its end and return its output.

    Args:
        args: The command; it must not contain secrets, because other users of the machine can read it.
        env: The complete environment.
        timeout: Seconds in which neither the command nor its child processes read or write anything.
        cwd: Working directory.

    Raises:
        InstallError: It failed or was inactive for too long; the message ends with its last lines.
    """
    try:
        child = subprocess.Popen(
            list(args), env=dict(env), cwd=cwd, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise InstallError(f"{args[0]} is not installed; use an image that has it") from error
    with child:
        try:
            output = _finished(child, timeout)
        except subprocess.TimeoutExpired as error:
            raise InstallError(
                f"{_shown(args)} was inactive for {timeout:.0f} s; check the pod's network and its volume"
            ) from error
        finally:
            child.kill()
    if child.returncode:
        raise InstallError(f"{_shown(args)} ended with status {child.returncode}:\n{tail(output)}")
    return output


def _finished(child: subprocess.Popen[str], timeout: float) -> str:
    """Return a command's output; raises TimeoutExpired when it was inactive for longer than the limit."""
    seen, since = transferred(), time.monotonic()
    while True:
        try:
            return child.communicate(timeout=min(LOOK_SECONDS, timeout))[0]
        except subprocess.TimeoutExpired:
            now = transferred()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since >= timeout:
                raise


def transferred() -> int:
    """Return the bytes that the other processes of this process group have read and written so far."""
    group, total = os.getpgrp(), 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, ProcessLookupError):
            number = int(process.name)
            if number != os.getpid() and os.getpgid(number) == group:
                lines = (process / "io").read_text(encoding="utf-8").splitlines()
                total += sum(int(line.split(": ")[1]) for line in lines if line.startswith(("rchar", "wchar")))
    return total


def _shown(args: Sequence[str]) -> str:
    return " ".join(Path(args[0]).name if i == 0 else arg for i, arg in enumerate(args[:4]))


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a text."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
