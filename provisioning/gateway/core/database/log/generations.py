"""A new generation now and then: a copy of the database, after which the former log is of no use any more.

The database file itself is the copy: a checkpoint brings it to where the log ends, and until the next one all that is
written goes to the WAL file. So commits go on while it is copied to the volume, into the next generation's log.
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
"""A log that is longer, and longer than the database, is followed by a new generation."""

AGAIN_SECONDS = 30.0
"""After this long a copy that could not be written is tried again."""

MAX_PAUSE_SECONDS = 1.0
"""How long the database may be held while the last bytes of a generation are shipped."""

AtDatabase = Callable[[Callable[[sqlite3.Connection], bool]], concurrent.futures.Future[bool]]
"""Does something between two transactions, with SQLite's own connection."""

_log = logging.getLogger(__name__)


def pieces(wal: Wal) -> Iterator[bytes]:
    """Yield the database file as it was left by the last checkpoint."""
    offset = 0
    while piece := wal.read_main(offset):
        offset += len(piece)
        yield piece


class DatabasePause:
    """Holds the database between two transactions while the log catches up, for a bounded time."""

    def __init__(self) -> None:
        self._paused, self._caught_up = Event(), Event()
        self._lock = Lock()
        self._given_up = False
        self.backfilled = -1
        """How many pages of the WAL file are in the database file, after a checkpoint that could not empty it."""

    def run(self, connection: sqlite3.Connection) -> bool:
        """Wait, on the database's own thread, then take a checkpoint; False when it took too long."""
        self._paused.set()
        self._caught_up.wait(MAX_PAUSE_SECONDS)
        with self._lock:
            if not self._caught_up.is_set():
                self._given_up = True
                return False
        busy, self.backfilled = checkpoint(connection)
        return not busy

    def wait_until_paused(self) -> bool:
        """Return when the database is held."""
        return self._paused.wait(MAX_PAUSE_SECONDS)

    def resume(self) -> bool:
        """Say that the log has caught up; False when that took too long."""
        with self._lock:
            if not self._given_up:
                self._caught_up.set()
            return not self._given_up


def checkpoint(connection: sqlite3.Connection) -> tuple[bool, int]:
    """Bring the database file to where the WAL file ends, and empty that.

    Returns whether it could not be emptied, since another process reads it, and how many pages were brought over.
    """
    [before] = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout=100").fetchone()
    try:
        busy, _, done = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={before}").fetchone()
    return bool(busy), int(done)


class Copier:
    """Writes the copy of a generation on a thread of its own, and removes what it makes useless."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._thread: Thread | None = None
        self._missing: int | None = None
        self._failed_at = float("-inf")

    @property
    def is_idle(self) -> bool:
        """Whether the last copy that was wanted is on the volume, so that the database file may change."""
        return self._missing is None

    def request(self, generation: int) -> None:
        """Have the copy with which a generation begins written."""
        self._missing = generation
        self.start_or_retry()

    def start_or_retry(self) -> None:
        """Begin, or try again what failed some time ago."""
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
            _log.error("a copy of the database for the log failed: %s", error.strerror)

    def end(self, seconds: float) -> None:
        """Wait for a copy that is being written, so long at most."""
        if self._thread is not None:
            self._thread.join(seconds)


def write(files: LogFiles, generation: int) -> None:
    """Write the copy of the database with which a generation begins; raises OSError."""
    wal, place = files.wal, files.epoch.snapshot(generation)
    snapshots.write(files.volume, place, files.keys, wal.main_bytes(), pieces(wal))
