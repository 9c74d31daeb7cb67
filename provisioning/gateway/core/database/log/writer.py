"""Appending commits to the log of an epoch, from a single thread."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace

from provisioning.gateway.core.database.log import records
from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys
from provisioning.gateway.core.database.log.epochs import Epoch
from provisioning.gateway.core.database.log.volume_files import VolumeFiles
from provisioning.gateway.core.database.log.wal import Position, Wal, WalError


@dataclass(frozen=True)
class LogFiles:
    """Source and destination of a log."""

    wal: Wal
    epoch: Epoch
    keys: ChecksumKeys
    volume: VolumeFiles


class LogWriter:
    """Writes the logs of an epoch's generations, one after the other."""

    def __init__(self, files: LogFiles) -> None:
        """Begin with generation 1, whose snapshot exists already."""
        self.generation = 1
        self.length = 0
        """Length of this generation's log, in bytes."""
        self.shipped = Position(b"", 0, 0)
        """The position in the WAL file up to which it is in the log."""
        self.may_restart_at = -1
        """Number of pages at which SQLite may restart the WAL file, since all are in the database file; else -1."""
        self._files = files
        self._descriptor: int | None = None
        self._head, self._chain = self._begin(records.START)

    def append(self, position: Position) -> None:
        """Append the WAL file up to a position to the log; raises OSError, after which the next call repeats the write.

        The repeated write starts at the same offset and overwrites what the failed one left.
        """
        if self.is_restarted(position) and self.may_restart_at != self.shipped.frames:
            raise WalError("another program has emptied the write-ahead log; start the gateway again")
        content = self._files.wal.read(self.shipped.end, position.end)
        chain = replace(self._chain)
        data = (b"" if self.length else self._head) + chain.record(self.shipped.end, content)
        try:
            self._write(data)
        except BaseException:
            self.close_file()
            raise
        self.length, self._chain, self.shipped = self.length + len(data), chain, position

    def is_restarted(self, position: Position) -> bool:
        """Return whether the WAL file was restarted since it was last shipped."""
        return bool(self.shipped.frames and position.salts != self.shipped.salts)

    def _write(self, data: bytes) -> None:
        volume, epoch = self._files.volume, self._files.epoch
        if self._descriptor is None:
            self._descriptor = volume.open(epoch.log(self.generation))
        volume.write(self._descriptor, data, self.length)
        volume.sync(self._descriptor)
        if not self.length:
            volume.sync_folder(epoch.path)

    def begin_generation(self) -> None:
        """Begin the next generation's log, with a restarted WAL file."""
        self.close_file()
        self.generation += 1
        self._head, self._chain = self._begin(self._chain.digest)
        self.length, self.shipped = 0, Position(b"", 0, 0)

    def _begin(self, previous: bytes) -> tuple[bytes, records.Chain]:
        return records.head(self._files.keys, self._files.epoch.number, self.generation, previous)

    def close_file(self) -> None:
        """Close the file; the next write opens it again."""
        if self._descriptor is not None:
            # fsync has reported every error that close could report.
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
