"""Generations of the log: a snapshot of the database makes the former log obsolete.

The database file itself is the source: a checkpoint brings it to the end of the log, and until the next checkpoint all
writes go to the WAL file. Commits therefore continue, into the next generation's log, while the file is copied.
"""

from __future__ import annotations

import concurrent.futures
import logging
import sqlite3
from collections.abc import Callable, Iterator
from threading import Event, Lock, Thread
from time import monotonic

from provisioning.gateway.core.database.log import snapshots
from provisioning.gateway.core.database.log.wal import Wal
from provisioning.gateway.core.database.log.writer import LogFiles

LOG_BYTES = 64 * 1024 * 1024
"""A log longer than this, and longer than the database, is followed by a new generation."""

AGAIN_SECONDS = 30.0
"""Delay before a failed snapshot is tried again."""

MAX_PAUSE_SECONDS = 1.0
"""How long the database may be paused while the last bytes of a generation are shipped."""

AtDatabase = Callable[[Callable[[sqlite3.Connection], bool]], concurrent.futures.Future[bool]]
"""Runs a function between two transactions, with SQLite's own connection."""

_log = logging.getLogger(__name__)


def pieces(wal: Wal) -> Iterator[bytes]:
    """Yield the database file as of the last checkpoint."""
    offset = 0
    while piece := wal.read_main(offset):
        offset += len(piece)
        yield piece


class DatabasePause:
    """Pauses the database between two transactions, for a bounded time, until the log has caught up."""

    def __init__(self) -> None:
        self._paused, self._caught_up = Event(), Event()
        self._lock = Lock()
        self._given_up = False
        self.backfilled = -1
        """WAL pages in the database file after a checkpoint that could not truncate the WAL file."""

    def run(self, connection: sqlite3.Connection) -> bool:
        """Wait on the database's thread, then run a checkpoint; returns False when the wait took too long."""
        self._paused.set()
        self._caught_up.wait(MAX_PAUSE_SECONDS)
        with self._lock:
            if not self._caught_up.is_set():
                self._given_up = True
                return False
        busy, self.backfilled = checkpoint(connection)
        return not busy

    def wait_until_paused(self) -> bool:
        """Wait until the database is paused; returns whether it is."""
        return self._paused.wait(MAX_PAUSE_SECONDS)

    def resume(self) -> bool:
        """Resume, after the log has caught up; returns False when that took too long."""
        with self._lock:
            if not self._given_up:
                self._caught_up.set()
            return not self._given_up


def checkpoint(connection: sqlite3.Connection) -> tuple[bool, int]:
    """Move the content of the WAL file into the database file and truncate the WAL file.

    Returns whether another reader prevented the truncation, and how many pages were moved.
    """
    [before] = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout=100").fetchone()
    try:
        busy, _, done = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={before}").fetchone()
    return bool(busy), int(done)


class Copier:
    """Writes the snapshot of a generation on its own thread and removes what the snapshot makes obsolete."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._thread: Thread | None = None
        self._missing: int | None = None
        self._failed_at = float("-inf")

    @property
    def is_idle(self) -> bool:
        """Whether the last requested snapshot is on the volume, so that the database file may change."""
        return self._missing is None

    def request(self, generation: int) -> None:
        """Request the snapshot of a generation."""
        self._missing = generation
        self.start_or_retry()

    def start_or_retry(self) -> None:
        """Start a requested snapshot, or retry one that failed AGAIN_SECONDS ago."""
        idle = self._thread is None or not self._thread.is_alive()
        if self._missing is not None and idle and monotonic() - self._failed_at > AGAIN_SECONDS:
            self._thread = Thread(target=self._copy, args=(self._missing,), name="log copy", daemon=True)
            self._thread.start()

    def _copy(self, generation: int) -> None:
        try:
            write(self._files, generation)
            if not self._files.epoch.is_superseded():
                self._files.epoch.remove_before(generation)
            self._missing = None
        except OSError as error:
            self._failed_at = monotonic()
            _log.error("a snapshot of the database failed: %s", error.strerror)

    def end(self, seconds: float) -> None:
        """Wait for a running snapshot, `seconds` at most."""
        if self._thread is not None:
            self._thread.join(seconds)


def write(files: LogFiles, generation: int) -> None:
    """Write the snapshot of a generation; raises OSError."""
    wal, place = files.wal, files.epoch.snapshot(generation)
    snapshots.write(files.volume, place, files.keys, wal.main_bytes(), pieces(wal))
