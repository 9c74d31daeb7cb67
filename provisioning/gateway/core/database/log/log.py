"""The log of a database: the interface, and its implementations for the shipping process and for other commands."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from provisioning.gateway.core.database.log import generations
from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys
from provisioning.gateway.core.database.log.epochs import Epoch, Epochs
from provisioning.gateway.core.database.log.health import LogHealth, NotOnVolume
from provisioning.gateway.core.database.log.heartbeat import Heartbeat
from provisioning.gateway.core.database.log.local_state import PAUSE_SECONDS, LocalLock, Status
from provisioning.gateway.core.database.log.shipper import Shipper
from provisioning.gateway.core.database.log.wal import Position, Wal
from provisioning.gateway.core.database.log.writer import LogFiles, LogWriter
from provisioning.gateway.core.problems import Code

Result = TypeVar("Result")
LATE = "The change did not reach the volume in time: check whether it was made, and try again."
RESTARTED = "The gateway was restarted meanwhile: check whether the change was made, and try again."

END_SECONDS = 12.0
"""How long a gateway may take to ship the rest at its shutdown."""


class Log(Protocol):
    """A database's log; every method except `wait` is called on the database's threads or before it serves."""

    def attach(self, database: Path, at_database: generations.AtDatabase) -> None:
        """Start, once the database is open and migrated; raises OSError."""

    @property
    def is_superseded(self) -> bool:
        """Whether another gateway has taken over."""

    def check(self) -> None:
        """Refuse to change anything while that could not be acknowledged; raises Problem."""

    def commit(self, work: Callable[[], Result]) -> tuple[Result, Position]:
        """Run a transaction on the database's thread; returns its result and the committed position."""

    async def wait(self, position: Position) -> None:
        """Wait until a position is on the volume and no other gateway has taken over; raises Problem."""

    def wait_now(self, position: Position) -> None:
        """Do the same without an event loop."""

    def finish(self) -> None:
        """Ship the rest, while the database is still open."""

    def close(self) -> None:
        """Release every resource, after the database was closed."""


class EpochLog:
    """The log of the shipping process, with an epoch of its own."""

    def __init__(
        self, epochs: Epochs, epoch: Epoch, keys: ChecksumKeys, lock: LocalLock, patience_seconds: float
    ) -> None:
        self.epoch = epoch
        self.health = LogHealth(patience_seconds)
        self.log_bytes = generations.LOG_BYTES
        self.heartbeat: Heartbeat | None = None
        self.on_attached: Callable[[], None] = _nothing
        """Called once this epoch has a snapshot and so is valid."""
        self.jobs_still_running = False
        """Whether ComfyUI still runs jobs when this gateway ends, so that another pod's gateway has to wait."""
        self._epochs = epochs
        self._keys = keys
        self._lock = lock
        self._wal: Wal | None = None
        self._status: Status | None = None
        self._shipper: Shipper | None = None

    def attach(self, database: Path, at_database: generations.AtDatabase) -> None:
        """Write the first snapshot, which makes this epoch valid, and start to ship."""
        at_database(lambda connection: not generations.checkpoint(connection)[0]).result()
        self._wal, self._status = Wal(database), Status(database)
        self._status.rotation.prepare()
        if self._wal.position().frames:
            raise OSError(f"{database}: another program is reading it; end that and start the gateway again")
        files = LogFiles(self._wal, self.epoch, self._keys, self._epochs.volume)
        generations.write(files, 1)
        self._epochs.forget_before(self.epoch)
        self._shipper = Shipper(
            files, LogWriter(files), generations.Copier(files), self._status, self.health, at_database
        )
        self._shipper.log_bytes = self.log_bytes
        self._shipper.start()
        self.on_attached()

    @property
    def is_superseded(self) -> bool:
        """Whether another gateway has taken over."""
        return self.health.superseded

    def check(self) -> None:
        """Refuse to change anything while that could not be acknowledged."""
        if (problem := self.health.problem()) is not None:
            raise problem

    def commit(self, work: Callable[[], Result]) -> tuple[Result, Position]:
        """Run a transaction; returns its result and the committed position."""
        result = work()
        return result, self._running.committed()

    async def wait(self, position: Position) -> None:
        """Wait until a position is on the volume and no other gateway has taken over."""
        await self._running.wait(position, self.health.patience_seconds)

    def wait_now(self, position: Position) -> None:
        """Do the same without an event loop."""
        self._running.wait_now(position, self.health.patience_seconds)

    @property
    def _running(self) -> Shipper:
        if self._shipper is None:
            raise RuntimeError("the log has not begun")
        return self._shipper

    def refuse(self) -> None:
        """Refuse changes from now on: another gateway is taking over."""
        self.health.is_handed_over = True

    def finish(self) -> None:
        """Ship the rest and mark the epoch as closed, unless that takes too long or jobs still run."""
        if self._shipper is not None and self._shipper.end(END_SECONDS) and not self.jobs_still_running:
            with suppress(OSError):
                self.epoch.close()

    def close(self) -> None:
        """Release every resource."""
        if self.heartbeat is not None:
            self.heartbeat.end()
        for part in (self._wal, self._status):
            if part is not None:
                part.close()
        self._lock.release()


def _nothing() -> None:
    """Do nothing."""


class Follower:
    """The log for a command that writes beside a running gateway: the gateway ships, the command waits for it."""

    def __init__(self, database: Path, patience_seconds: float) -> None:
        self._status = Status(database)
        self._rotation = self._status.rotation
        self._patience_seconds = patience_seconds
        self._wal: Wal | None = None
        begun = self._status.read()
        self._epoch = begun.epoch if begun else None

    @property
    def is_up(self) -> bool:
        """Whether the gateway has started to ship."""
        return self._epoch is not None

    def attach(self, database: Path, at_database: generations.AtDatabase) -> None:
        """Open the files that the gateway uses too."""
        # Reading the database creates the WAL index.
        at_database(lambda connection: bool(connection.execute("SELECT count(*) FROM sqlite_master"))).result()
        self._wal = Wal(database)

    is_superseded = False

    def check(self) -> None:
        """Do nothing: errors are raised after the commit."""

    def commit(self, work: Callable[[], Result]) -> tuple[Result, Position]:
        """Run a transaction; returns its result and the committed position."""
        if self._wal is None:
            raise RuntimeError("the log has not begun")
        with self._rotation.writing():
            result = work()
            return result, self._wal.position()

    async def wait(self, position: Position) -> None:
        """Wait until the gateway has shipped a position."""
        self.wait_now(position)

    def wait_now(self, position: Position) -> None:
        """Wait until the gateway has shipped a position, without an event loop."""
        deadline = time.monotonic() + self._patience_seconds
        while not self._is_shipped(position):
            if time.monotonic() > deadline:
                raise NotOnVolume(
                    Code.STORE_UNAVAILABLE,
                    "The change did not reach the volume: check whether it was made, and try again.",
                )
            time.sleep(PAUSE_SECONDS)

    def _is_shipped(self, position: Position) -> bool:
        shipped = self._status.read()
        if not position.frames:
            return True
        if shipped is None or shipped.epoch != self._epoch:
            raise NotOnVolume(Code.STORE_UNAVAILABLE, RESTARTED)
        if shipped.former == position.salts:
            return True
        return shipped.salts == position.salts and shipped.frames >= position.frames

    def finish(self) -> None:
        """Do nothing: the gateway ships."""

    def close(self) -> None:
        """Close the files."""
        if self._wal is not None:
            self._wal.close()
