"""Appending what was committed to the log of an epoch; one thread does it."""

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
    """What a log is made from, and where it goes."""

    wal: Wal
    epoch: Epoch
    keys: ChecksumKeys
    volume: VolumeFiles


class LogWriter:
    """Writes one generation's log after the other."""

    def __init__(self, files: LogFiles) -> None:
        """Begin with generation 1, whose copy of the database is there already."""
        self.generation = 1
        self.length = 0
        """Of this generation's log, in bytes."""
        self.shipped = Position(b"", 0, 0)
        """How much of the WAL file is in it."""
        self.may_restart_at = -1
        """At so many pages SQLite may begin the WAL file anew: all of them are in the database file."""
        self._files = files
        self._descriptor: int | None = None
        self._head, self._chain = self._begin(records.START)

    def append(self, position: Position) -> None:
        """Have the log go as far as the WAL file does; raises OSError, and then the next call writes the same again.

        It is written again in the same place: what a failed write has left there is overwritten.
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
        """Say whether the WAL file was begun anew since it was shipped."""
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
        """Go on with the next generation: the WAL file is begun anew."""
        self.close_file()
        self.generation += 1
        self._head, self._chain = self._begin(self._chain.digest)
        self.length, self.shipped = 0, Position(b"", 0, 0)

    def _begin(self, previous: bytes) -> tuple[bytes, records.Chain]:
        return records.head(self._files.keys, self._files.epoch.number, self.generation, previous)

    def close_file(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._descriptor is not None:
            # What close says was said by fsync already.
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
