"""Run a command for a resource, with its output line by line, and end it with its child processes."""

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
    """The command failed; the message contains its exit code and the end of its output, not its input."""


@dataclass(frozen=True)
class CommandRequest:
    """A command to run. `stdin` and `environment` may contain secrets and never appear in messages."""

    argv: Sequence[str]
    directory: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    log_stdout: bool = True
    log_stderr: bool = True


@dataclass(frozen=True)
class CommandResult:
    """The command's output, without the final line end."""

    stdout: str
    stderr: str


class Commands:
    """The running commands, which can be cancelled together."""

    def __init__(self) -> None:
        self._controls: set[int] = set()
        self._lock = threading.Lock()
        self._cancelled = False

    def cancel(self) -> None:
        """End every running command with its whole session, and refuse new ones."""
        with self._lock:
            self._cancelled = True
            for control in self._controls:
                os.close(control)
            self._controls.clear()

    def run(self, order: CommandRequest, show: Callable[[str], None]) -> CommandResult:
        """Run a command, and show its lines as they arrive.

        Raises:
            CommandFailedError: it could not start, failed, or was cancelled.
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
    ) -> CommandResult:
        mixed: list[str] = []
        out = _PipeReader(process.stdout, mixed, show if order.log_stdout else None)
        err = _PipeReader(process.stderr, mixed, show if order.log_stderr else None)
        _feed(process, order.stdin)
        code = process.wait()
        outcome = CommandResult(out.text(), err.text())
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


class _PipeReader(threading.Thread):
    """Reads one stream of a command, as a whole and line by line."""

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
    """Start the command's guard in a new session, and pass it `control`."""
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
    """Write standard input; a command need not read it."""
    if process.stdin is None:
        return
    try:
        with process.stdin as pipe:
            pipe.write(text.encode())
    except BrokenPipeError:
        return
