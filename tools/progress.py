"""Progress messages, and long commands with regular output."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.errors import SetupError

BEAT_SECONDS = 10.0
_SHOWN_CHARACTERS = 2000


def say(text: str) -> None:
    """Print one line on standard error; standard output belongs to the command that follows."""
    print(text, file=sys.stderr, flush=True)


def run(
    what: str,
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limit_seconds: float = 1800,
    beat_seconds: float = BEAT_SECONDS,
) -> None:
    """Run `command` with its output in `log`, and print a line every `beat_seconds`.

    Raises:
        SetupError: it failed or took longer than `limit_seconds`; the message ends with the end of its output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = _follow(what, process, limit_seconds, beat_seconds)
        finally:
            _end(process)
    if code != 0:
        tail = log.read_text(errors="replace")[-_SHOWN_CHARACTERS:].strip()
        raise SetupError(f"{what} failed with exit code {code}; its output ({log}) ends with:\n{tail}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the whole session of an interrupted command, so that no compiler continues in the background."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _follow(what: str, process: "subprocess.Popen[bytes]", limit_seconds: float, beat_seconds: float) -> int:
    started = time.monotonic()
    while (passed := time.monotonic() - started) < limit_seconds:
        try:
            return process.wait(timeout=beat_seconds)
        except subprocess.TimeoutExpired:
            say(f"  {what}: {passed + beat_seconds:.0f} s ...")
    raise SetupError(f"{what} did not end within {limit_seconds:.0f} s and was stopped; run the same command again.")
