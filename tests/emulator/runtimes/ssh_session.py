"""One SSH channel on a pod of the process runtime: a command over pipes, or a shell on a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import asyncssh

CHUNK = 64 * 1024
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Makes the terminal the new session's own before it becomes the command: without it there is no Ctrl-C."""

ServerProcess = asyncssh.SSHServerProcess[bytes]


class Sink(Protocol):
    """Takes what a client types."""

    def write(self, data: bytes) -> object:
        """Take some bytes."""

    def resize(self, columns: int, rows: int) -> None:
        """Take a new size of the client's window."""


class Pipe:
    """The standard input of a command without a terminal."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Pass bytes on."""
        self._writer.write(data)

    def resize(self, columns: int, rows: int) -> None:
        """Ignore it: there is no window."""


class Terminal:
    """The emulator's end of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """Pass key strokes on."""
        os.write(self._descriptor, data)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal the size of the client's window."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Sessions:
    """Runs what comes over SSH; each command is a session of its own, so a detached job outlives the connection."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = dict(environment)

    async def run(self, process: ServerProcess) -> None:
        """Run a command, or a login shell when none was given, and pass its exit code on."""
        try:
            code = await (self._on_terminal(process) if process.term_type else self._over_pipes(process))
        except OSError as error:
            with suppress(OSError):
                process.stderr.write(f"cannot run the command: {error}\n".encode())
            code = 127
        with suppress(OSError):
            if code < 0:
                process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                process.exit(code)

    async def _over_pipes(self, process: ServerProcess) -> int:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *self._command(process),
            cwd=self._root,
            env=self._environment,
            start_new_session=True,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        if child.stdin is None or child.stdout is None or child.stderr is None:
            raise OSError("the command has no pipes")
        feeding = asyncio.create_task(feed(process, Pipe(child.stdin), child.stdin))
        # As sshd does: the channel stays open while anything holds the command's output.
        await asyncio.gather(drain(child.stdout, process.stdout), drain(child.stderr, process.stderr))
        code = await child.wait()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        return code

    async def _on_terminal(self, process: ServerProcess) -> int:
        outer, inner = pty.openpty()
        terminal = Terminal(outer)
        terminal.resize(*process.term_size[:2])
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                TAKE_TERMINAL,
                *self._command(process),
                cwd=self._root,
                env=self._environment | {"TERM": process.term_type or "dumb"},
                start_new_session=True,
                stdin=inner,
                stdout=inner,
                stderr=inner,
            )
        except OSError:
            os.close(outer)
            raise
        finally:
            os.close(inner)
        async with reading(outer) as reader:
            await self._talk(process, terminal, reader)
        # With our end of the terminal closed, the system hangs up on whatever is left on it.
        return await child.wait()

    async def _talk(self, process: ServerProcess, terminal: Terminal, reader: asyncio.StreamReader) -> None:
        feeding = asyncio.create_task(feed(process, terminal, None))
        draining = asyncio.create_task(drain(reader, process.stdout))
        await asyncio.wait((feeding, draining), return_when=asyncio.FIRST_COMPLETED)
        for task in (feeding, draining):
            task.cancel()
        await asyncio.gather(feeding, draining, return_exceptions=True)

    def _command(self, process: ServerProcess) -> list[str]:
        return ["bash", "-c", process.command] if process.command else ["bash", "-l"]


async def feed(process: ServerProcess, sink: Sink, end: asyncio.StreamWriter | None) -> None:
    """Pass what the client types until it ends, then close `end`."""
    with suppress(OSError, asyncssh.Error):
        while not process.stdin.at_eof():
            try:
                sink.write(await process.stdin.read(CHUNK))
                if end is not None:
                    await end.drain()
            except asyncssh.TerminalSizeChanged as change:
                sink.resize(change.width, change.height)
            except (asyncssh.BreakReceived, asyncssh.SignalReceived):
                continue
    if end is not None:
        end.close()


async def drain(reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
    """Pass a command's output until it ends; a client that is gone does not stop the command."""
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            with suppress(OSError, asyncssh.Error):
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def reading(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    """Read a terminal as a stream; closes it at the end."""
    reader = asyncio.StreamReader()
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        try:
            yield reader
        finally:
            transport.close()
