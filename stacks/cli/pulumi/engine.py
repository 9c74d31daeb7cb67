"""Run the engine: followed by a person, or asked for one answer."""

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
"""After so much silence a line says that it goes on: nothing is silent for ten seconds."""
INTERRUPTED = 130
"""The exit code of a command that a person stopped, as the shell has it."""
STOP_SECONDS = 60.0
"""How long the engine may take to end the running steps after Ctrl-C."""
_ANSWER_SECONDS = 60
_TAIL_BYTES = 16384
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Outcome:
    """How a run that a person watched has ended."""

    code: int
    """0, 1 when it failed, 130 when it was interrupted."""
    tail: str = ""
    """The end of what it said."""


@dataclass(frozen=True)
class Engine:
    """The engine, for one stack."""

    checkout: Checkout
    environ: Mapping[str, str]
    stack: str = ""
    """Full name of the stack, `organisation/project/stack`, where the environment's name alone is not enough."""
    quiet_seconds: float = QUIET_SECONDS
    """How long a followed run may say nothing before a line says that it goes on."""

    def command(self, *arguments: str) -> list[str]:
        """The command line, without a prompt: the person reads, the program does not ask."""
        return ["pulumi", *arguments, "--stack", self.stack or self.checkout.env, "--non-interactive"]

    def follow(self, *arguments: str) -> int:
        """Run with output shown as it comes; 0, 1 when it failed, 130 when it was interrupted."""
        return self.watch(*arguments).code

    def watch(self, *arguments: str) -> Outcome:
        """Run with output shown as it comes, and return how it ended with what it said last."""
        colour = "always" if sys.stdout.isatty() and "NO_COLOR" not in self.environ else "never"
        command = [*self.command(*arguments), "--color", colour]
        followed = _Followed(lambda: self._start(command, stderr=subprocess.STDOUT), self.quiet_seconds)
        return Outcome(followed.run(), followed.tail)

    def ask(self, *arguments: str) -> str:
        """Run without showing anything and return standard output.

        Raises:
            CliError: it failed or did not answer within a minute; with what it said.
        """
        return self.tell("", *arguments)

    def tell(self, text: str, *arguments: str) -> str:
        """Like `ask`, with `text` on standard input, where a secret is seen by nobody."""
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

    def ask_json(self, *arguments: str) -> Any:  # noqa: ANN401  (the engine's own documents)
        """Run without showing anything and return the JSON document it prints."""
        return json.loads(self.ask(*arguments))

    def _start(self, command: Sequence[str], stderr: int, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start in a session of its own: Ctrl-C reaches it once, through us, and never twice."""
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
    """One run of the engine that a person watches and may interrupt."""

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
        """The end of what was shown."""
        return self._last.decode(errors="replace")

    def run(self) -> int:
        """Copy output until the engine ends; 0, 1 when it failed, or 130 after an interrupt."""
        # The handlers come first: an interrupt before them would leave an engine behind that nobody ends.
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
        """Whether the time to end in order is over."""
        return self._deadline is not None and self._clock() >= self._deadline

    def _show(self, block: bytes) -> bool:
        """Pass output on; False at its end."""
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
        """First time: ask the engine to stop, with a bound. Second time: do not wait any longer."""
        if self._deadline is None:
            self._deadline = self._clock() + STOP_SECONDS
            print("\nstopping after the running steps; press Ctrl-C again to stop at once", flush=True)
            self._ask_to_stop()
        elif number == signal.SIGINT:
            self._deadline = self._clock()

    def _ask_to_stop(self) -> None:
        """Interrupt the engine, once: a second interrupt would make it stop in the middle of a step."""
        if self._process is not None and not self._asked:
            self._asked = True
            self._process.send_signal(signal.SIGINT)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End whatever of the engine's session is left; its plugins end when they lose it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
