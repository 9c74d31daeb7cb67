"""State shared by the processes on one container disk: which of them ships the log, and how far it has shipped.

The gateway holds a lock while it runs. A command that finds the lock taken writes to the database beside the gateway
and waits until the gateway has shipped the change; a command that finds it free ships the change itself.
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
    """The position up to which the log has been shipped."""

    epoch: int
    generation: int
    salts: bytes
    """Salts of the WAL file; empty when none of it has been shipped yet."""
    frames: int
    former: bytes
    """Salts of the WAL file before, which was shipped completely."""


class LocalLock:
    """The lock that the shipping process holds."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.lock")
        self._descriptor: int | None = None

    def take(self, seconds: float = 0.0) -> bool:
        """Take the lock, waiting `seconds` at most; returns False when another process holds it."""
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
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class RotationLock:
    """Blocks writes by commands while the gateway truncates the WAL file: their changes have to be shipped first."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.turn")

    def prepare(self) -> None:
        """Create the file, so that the gateway's user owns it and not a command's."""
        with self._locked(fcntl.LOCK_SH):
            pass

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock for a command's write; waits while the gateway rotates."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def rotating(self) -> Iterator[bool]:
        """Hold the lock for a rotation; yields False while a command writes."""
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
    """A small file with the position up to which the log has been shipped."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.shipped")
        self.rotation = RotationLock(database)
        self._descriptor: int | None = None

    def clear(self) -> None:
        """Remove the file: no process ships yet."""
        self.path.unlink(missing_ok=True)

    def write(self, shipped: Shipped) -> None:
        """Write the shipped position."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        raw = _STATUS.pack(*shipped)
        os.pwrite(self._descriptor, raw + zlib.crc32(raw).to_bytes(4, "big"), 0)

    def read(self) -> Shipped | None:
        """Return the shipped position; None when no process ships."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return None
        body, check = raw[: _STATUS.size], raw[_STATUS.size :]
        return Shipped(*_STATUS.unpack(body)) if zlib.crc32(body).to_bytes(4, "big") == check else None

    def close(self) -> None:
        """Remove the file: no process ships any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self.clear()
