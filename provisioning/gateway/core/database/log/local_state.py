"""What the processes on one container disk agree on: which of them ships, and how far it has shipped.

The gateway holds a lock while it runs. A command that finds it held writes to the database beside the gateway, and
waits until the gateway has shipped what it wrote; one that finds it free is a gateway of its own for a moment.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_STATUS = struct.Struct(">QQ8sQ8s")
LOCK_SECONDS = 30.0
PAUSE_SECONDS = 0.02


class Shipped(NamedTuple):
    """How far the log goes."""

    epoch: int
    generation: int
    salts: bytes
    """Of the WAL file; empty bytes when nothing of it was shipped yet."""
    frames: int
    former: bytes
    """The salts of the WAL file before, all of which was shipped."""


class LocalLock:
    """Held by the one process that ships."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.lock")
        self._descriptor: int | None = None

    def take(self, seconds: float = 0.0) -> bool:
        """Take it, or wait for it so long; False when another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(PAUSE_SECONDS)
            else:
                self._descriptor = descriptor
                return True

    def release(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class RotationLock:
    """Keeps commands from writing while the gateway empties the WAL file: what they write has to be shipped first."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.turn")

    def prepare(self) -> None:
        """Make the file, so that it is the gateway's and not a command's."""
        with self._locked(fcntl.LOCK_SH):
            pass

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let a command write; waits while the gateway is about it."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def rotating(self) -> Iterator[bool]:
        """Keep commands from writing; gives False while one writes."""
        try:
            with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)


class Status:
    """A small file that says how far the log goes."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.shipped")
        self.rotation = RotationLock(database)
        self._descriptor: int | None = None

    def clear(self) -> None:
        """Say that nobody ships yet."""
        self.path.unlink(missing_ok=True)

    def write(self, shipped: Shipped) -> None:
        """Say how far the log goes."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        raw = _STATUS.pack(*shipped)
        os.pwrite(self._descriptor, raw + zlib.crc32(raw).to_bytes(4, "big"), 0)

    def read(self) -> Shipped | None:
        """Return what was said; None when nobody ships."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return None
        body, check = raw[: _STATUS.size], raw[_STATUS.size :]
        return Shipped(*_STATUS.unpack(body)) if zlib.crc32(body).to_bytes(4, "big") == check else None

    def close(self) -> None:
        """Say that nobody ships any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self.clear()
