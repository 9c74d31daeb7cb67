"""Runs the tools of the machine: bounded while nothing moves, without input, with their output kept for the error."""

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
        args: The command; nothing secret belongs here, other users of the machine can read it.
        env: The whole environment.
        timeout: Bound in seconds, counted only while neither the command nor what it started reads or writes.
        cwd: Where it runs.

    Raises:
        InstallError: It failed or stood still for too long; the text ends with its last lines.
    """
    try:
        child = subprocess.Popen(
            list(args), env=dict(env), cwd=cwd, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise InstallError(f"{args[0]} is not on this machine; use an image that has it") from error
    with child:
        try:
            output = _finished(child, timeout)
        except subprocess.TimeoutExpired as error:
            raise InstallError(
                f"{_shown(args)} did nothing for {timeout:.0f} s; look at the pod's network and at its volume"
            ) from error
        finally:
            child.kill()
    if child.returncode:
        raise InstallError(f"{_shown(args)} ended with status {child.returncode}:\n{tail(output)}")
    return output


def _finished(child: subprocess.Popen[str], timeout: float) -> str:
    """Return what a command said; raises TimeoutExpired when it stood still for longer than the bound."""
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
    """Return the bytes that the other processes of our group have read and written so far."""
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
