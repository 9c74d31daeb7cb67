"""Reading the write-ahead log of an open database, by SQLite's documented formats (sqlite.org/walformat.html)."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

HEAD_BYTES = 32
"""Length of the header of a WAL file."""
FRAME_HEAD_BYTES = 24
_INDEX_HEAD = struct.Struct("=IIIBBHII8s8s8s")
"""Version, unused, change counter, initialised, byte order, page size, frames, pages, checksum, salts, checksum."""
_VERSION = 3_007_000
_TRIES = 1000

CHUNK_BYTES = 1024 * 1024


class WalError(OSError):
    """The write-ahead log has a format that this gateway does not know."""


class Position(NamedTuple):
    """A committed position in the WAL file."""

    salts: bytes
    """Change whenever the file is restarted."""
    frames: int
    page_bytes: int

    @property
    def end(self) -> int:
        """The length of the committed part, in bytes."""
        return HEAD_BYTES + self.frames * (FRAME_HEAD_BYTES + self.page_bytes) if self.frames else 0


class Wal:
    """The files of a database that this process has open.

    They stay open until the database is closed: POSIX releases all of a process's locks on a file, including SQLite's,
    when any descriptor of that file is closed.
    """

    def __init__(self, database: Path) -> None:
        """Open the files beside a database that is in use; raises OSError."""
        self._main, self._wal, self._index = (
            os.open(f"{database}{ending}", os.O_RDONLY | os.O_CLOEXEC) for ending in ("", "-wal", "-shm")
        )

    def close(self) -> None:
        """Close the files, after the database was closed."""
        for descriptor in (self._main, self._wal, self._index):
            os.close(descriptor)

    def position(self) -> Position:
        """Return the committed position of the WAL file."""
        for _ in range(_TRIES):
            both = os.pread(self._index, 2 * _INDEX_HEAD.size, 0)
            first, second = both[: _INDEX_HEAD.size], both[_INDEX_HEAD.size :]
            # SQLite writes the second copy first: while they differ, a write is in progress.
            if first == second and len(first) == _INDEX_HEAD.size:
                return _position(first)
        raise WalError("the index of the write-ahead log stays inconsistent; start the gateway again")

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes of the WAL file from `start` to `end`."""
        data = os.pread(self._wal, end - start, start)
        if len(data) != end - start:
            raise WalError("the write-ahead log is shorter than its index says; start the gateway again")
        return data

    def read_main(self, offset: int) -> bytes:
        """Return a chunk of the database file, which only checkpoints change; empty at its end."""
        return os.pread(self._main, CHUNK_BYTES, offset)

    def main_bytes(self) -> int:
        """Return the length of the database file."""
        return os.fstat(self._main).st_size


def _position(raw: bytes) -> Position:
    version, _, _, ready, _, size, frames, _, _, salts, _ = _INDEX_HEAD.unpack(raw)
    if version != _VERSION or not ready:
        raise WalError(f"the write-ahead log's index has version {version}, which this gateway does not know")
    return Position(salts, frames, 65_536 if size == 1 else size)
