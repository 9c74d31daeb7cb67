"""Run the Pulumi engine, with its output shown or captured."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError

QUIET_SECONDS = 9.0
"""After this many seconds without output a line reports that the run continues."""
INTERRUPTED = 130
"""The exit code of an interrupted command, as in the shell."""
STOP_SECONDS = 60.0
"""Time for the engine to finish the running steps after Ctrl-C, in seconds."""
_ANSWER_SECONDS = 60
_TAIL_BYTES = 16384
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class EngineResult:
    """The result of a run whose output was shown."""

    code: int
    """0, 1 when it failed, 130 when it was interrupted."""
    tail: str = ""
    """The end of its output."""


@dataclass(frozen=True)
class Engine:
    """The engine, for one stack."""

    checkout: Checkout
    environ: Mapping[str, str]
    stack: str = ""
    """Full name of the stack, `organisation/project/stack`, when the environment's name is ambiguous."""
    quiet_seconds: float = QUIET_SECONDS
    """Seconds without output after which a followed run prints a line."""

    def command(self, *arguments: str) -> list[str]:
        """Return the command line; the engine never prompts."""
        return ["pulumi", *arguments, "--stack", self.stack or self.checkout.env, "--non-interactive"]

    def follow(self, *arguments: str) -> int:
        """Run with the output shown; return 0, 1 when it failed, or 130 when it was interrupted."""
        return self.watch(*arguments).code

    def watch(self, *arguments: str) -> EngineResult:
        """Run with the output shown; return the exit code and the end of the output."""
        colour = "always" if sys.stdout.isatty() and "NO_COLOR" not in self.environ else "never"
        command = [*self.command(*arguments), "--color", colour]
        followed = _Followed(lambda: self._start(command, stderr=subprocess.STDOUT), self.quiet_seconds)
        return EngineResult(followed.run(), followed.tail)

    def query(self, *arguments: str) -> str:
        """Run without showing the output, and return standard output.

        Raises:
            CliError: it failed or did not answer within a minute; the message contains its error output.
        """
        return self.query_with_input("", *arguments)

    def query_with_input(self, text: str, *arguments: str) -> str:
        """Run like `query`, with `text` on standard input, where other users cannot see a secret."""
        process = self._start(self.command(*arguments), stderr=subprocess.PIPE, stdin=subprocess.PIPE)
        try:
            out, err = process.communicate(text.encode(), timeout=_ANSWER_SECONDS)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise CliError(f"`pulumi {arguments[0]}` did not answer within {_ANSWER_SECONDS} s") from error
            raise
        if process.returncode != 0:
            raise CliError(f"`pulumi {' '.join(arguments[:2])}` failed: {err.decode(errors='replace').strip()}")
        return out.decode()

    def query_json(self, *arguments: str) -> Any:  # noqa: ANN401  (the engine's own documents)
        """Run without showing the output, and return the JSON document that it prints."""
        return json.loads(self.query(*arguments))

    def _start(self, command: Sequence[str], stderr: int, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start in a new session, so that Ctrl-C reaches the engine only once, through this process."""
        program = self.checkout.setup()["engine"]["folder"] + "/pulumi"
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=self.checkout.root,
            env=dict(self.environ),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )


class _Followed:
    """One run of the engine with its output shown; it can be interrupted."""

    def __init__(
        self,
        start: Callable[[], subprocess.Popen[bytes]],
        quiet_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start, self._clock = start, clock
        self._quiet_seconds = quiet_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._spoke = clock()
        self._deadline: float | None = None
        self._asked = False
        self._line_open = False
        self._last = b""

    @property
    def tail(self) -> str:
        """The end of the output."""
        return self._last.decode(errors="replace")

    def run(self) -> int:
        """Copy output until the engine ends; return 0, 1 when it failed, or 130 after an interrupt."""
        # The handlers are installed first: an earlier interrupt would leave a running engine behind.
        before = {number: signal.signal(number, self._interrupt) for number in _INTERRUPTS}
        try:
            code = self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return code if self._deadline is None else INTERRUPTED

    def _run(self) -> int:
        process = self._process = self._start()
        try:
            if self._deadline is not None:
                self._ask_to_stop()
            self._copy(process.stdout)
            while process.poll() is None and not self._is_late():
                time.sleep(0.05)
        finally:
            _end(process)
        return 0 if process.returncode == 0 else 1

    def _copy(self, stream: IO[bytes] | None) -> None:
        if stream is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                ready = selector.select(timeout=0.5)
                if ready and not self._show(os.read(stream.fileno(), 65536)):
                    return
                self._beat()
                if self._is_late():
                    return

    def _is_late(self) -> bool:
        """Return whether the time for an orderly stop is over."""
        return self._deadline is not None and self._clock() >= self._deadline

    def _show(self, block: bytes) -> bool:
        """Forward output; return False at its end."""
        self._last = (self._last + block)[-_TAIL_BYTES:]
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        if block:
            self._spoke, self._line_open = self._clock(), not block.endswith(b"\n")
        return bool(block)

    def _beat(self) -> None:
        now = self._clock()
        if now - self._spoke >= self._quiet_seconds:
            start = "\n" if self._line_open else ""
            print(f"{start}  ... running for {now - self._started:.0f} s", flush=True)
            self._spoke, self._line_open = now, False

    def _interrupt(self, number: int, _frame: object) -> None:
        """Ask the engine to stop within the time limit; at the second interrupt, stop it at once."""
        if self._deadline is None:
            self._deadline = self._clock() + STOP_SECONDS
            print("\nstopping after the running steps; press Ctrl-C again to stop at once", flush=True)
            self._ask_to_stop()
        elif number == signal.SIGINT:
            self._deadline = self._clock()

    def _ask_to_stop(self) -> None:
        """Interrupt the engine once: a second interrupt would stop it in the middle of a step."""
        if self._process is not None and not self._asked:
            self._asked = True
            self._process.send_signal(signal.SIGINT)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the rest of the engine's session; its plugins exit when they lose the engine."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
