"""Run a command for a resource: output line by line as it comes, ended with everything it started."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_GUARD = Path(__file__).with_name("guard.py")
_SHOWN_CHARACTERS = 4000


class CommandFailedError(Exception):
    """The command ended badly; the message has its exit code and the end of its output, never its input."""


@dataclass(frozen=True)
class CommandRequest:
    """One command to run. `stdin` and `environment` may hold secrets and appear in no message."""

    argv: Sequence[str]
    directory: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    log_stdout: bool = True
    log_stderr: bool = True


@dataclass(frozen=True)
class Outcome:
    """What the command wrote, without the last line's end."""

    stdout: str
    stderr: str


class Commands:
    """The commands that run now, so that all of them can be ended at once."""

    def __init__(self) -> None:
        self._controls: set[int] = set()
        self._lock = threading.Lock()
        self._cancelled = False

    def cancel(self) -> None:
        """End every running command with its whole session, and start no other."""
        with self._lock:
            self._cancelled = True
            for control in self._controls:
                os.close(control)
            self._controls.clear()

    def run(self, order: CommandRequest, show: Callable[[str], None]) -> Outcome:
        """Run to the end, showing lines as they come.

        Raises:
            CommandFailedError: it could not start, ended with another code than 0, or was cancelled.
        """
        reading, control = os.pipe()
        with self._lock:
            if self._cancelled:
                os.close(reading)
                os.close(control)
                raise CommandFailedError("the operation was cancelled before this command started")
            self._controls.add(control)
        try:
            return self._follow(order, _start(order, reading), show)
        finally:
            self._release(control)

    def _follow(
        self, order: CommandRequest, process: "subprocess.Popen[bytes]", show: Callable[[str], None]
    ) -> Outcome:
        mixed: list[str] = []
        out = _Reader(process.stdout, mixed, show if order.log_stdout else None)
        err = _Reader(process.stderr, mixed, show if order.log_stderr else None)
        _feed(process, order.stdin)
        code = process.wait()
        outcome = Outcome(out.text(), err.text())
        if self._cancelled and code != 0:
            raise CommandFailedError("the command was ended because the operation was cancelled")
        if code != 0:
            raise CommandFailedError(f"the command ended with exit code {code}:\n{''.join(mixed)[-_SHOWN_CHARACTERS:]}")
        return outcome

    def _release(self, control: int) -> None:
        with self._lock:
            if control in self._controls:
                self._controls.discard(control)
                os.close(control)


class _Reader(threading.Thread):
    """Collects one stream of a command, whole and line by line."""

    def __init__(self, stream: IO[bytes] | None, mixed: list[str], show: Callable[[str], None] | None) -> None:
        super().__init__(daemon=True)
        self._stream, self._mixed, self._show = stream, mixed, show
        self._lines: list[str] = []
        self.start()

    def run(self) -> None:
        if self._stream is None:
            return
        with self._stream:
            for raw in self._stream:
                self._take(raw.decode(errors="replace"))

    def _take(self, line: str) -> None:
        self._lines.append(line)
        self._mixed.append(line)
        if self._show and line.strip():
            self._show(line.rstrip("\n"))

    def text(self) -> str:
        self.join()
        return "".join(self._lines).removesuffix("\n")


def _start(order: CommandRequest, control: int) -> "subprocess.Popen[bytes]":
    """Start the command's guard in a session of its own; `control` is handed over to it."""
    guard = [sys.executable, "-I", "-S", str(_GUARD), str(control)]
    try:
        return subprocess.Popen(
            [*guard, *order.argv],
            cwd=order.directory,
            env={**os.environ, **order.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[control],
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailedError(f"the command cannot start in {order.directory or 'the project'}: {error}") from error
    finally:
        os.close(control)


def _feed(process: "subprocess.Popen[bytes]", text: str) -> None:
    """Hand over standard input; a command that does not read it is none the worse."""
    if process.stdin is None:
        return
    try:
        with process.stdin as pipe:
            pipe.write(text.encode())
    except BrokenPipeError:
        return
