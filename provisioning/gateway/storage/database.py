"""The SQLite file: one connection, one thread, whole transactions.

The file lies on the network volume, so that keys, revocations and usage outlive the pod. WAL needs shared memory, which
a network file system does not give; hence a rollback journal with FULL syncs: slower (a few milliseconds per commit),
and nothing that was acknowledged is ever lost. The event loop never waits for the disk, since the thread does.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from provisioning.gateway.options import Journal
from provisioning.gateway.problems import Code, Problem

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]

MIGRATIONS = (
    """
    CREATE TABLE keys (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL, scopes TEXT NOT NULL, digest BLOB NOT NULL,
        seeded INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER
    ) STRICT;
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, key_id TEXT NOT NULL, owner TEXT NOT NULL, client_id TEXT NOT NULL, state TEXT NOT NULL,
        workflow BLOB NOT NULL, submitted_at INTEGER NOT NULL, queued_at INTEGER, started_at INTEGER,
        finished_at INTEGER, gpu_ms INTEGER NOT NULL DEFAULT 0, usd_micros INTEGER NOT NULL DEFAULT 0,
        history BLOB, error TEXT, cancel_requested INTEGER NOT NULL DEFAULT 0, hidden INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX jobs_by_owner ON jobs (owner, submitted_at);
    CREATE INDEX jobs_in_flight ON jobs (state) WHERE finished_at IS NULL;
    CREATE TABLE outputs (
        owner TEXT NOT NULL, type TEXT NOT NULL, subfolder TEXT NOT NULL, filename TEXT NOT NULL, job_id TEXT NOT NULL,
        PRIMARY KEY (type, subfolder, filename, owner)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE requests (
        id TEXT PRIMARY KEY, key_id TEXT NOT NULL, job_id TEXT, method TEXT NOT NULL, route TEXT NOT NULL,
        status INTEGER NOT NULL, received_at INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
        bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX requests_by_time ON requests (received_at);
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    """,
    """
    CREATE TABLE assets (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, job_id TEXT, node_id TEXT NOT NULL, type TEXT NOT NULL,
        subfolder TEXT NOT NULL, filename TEXT NOT NULL, file_path TEXT NOT NULL, content_type TEXT, size_bytes INTEGER,
        hash TEXT, created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX assets_by_file ON assets (type, subfolder, filename, owner);
    CREATE INDEX assets_by_job ON assets (job_id);
    CREATE INDEX assets_by_hash ON assets (owner, hash) WHERE hash IS NOT NULL;
    INSERT INTO assets SELECT lower(hex(randomblob(16))), owner, job_id, '', type, subfolder, filename, filename, NULL,
        NULL, NULL, 0 FROM outputs;
    DROP TABLE outputs;
    ALTER TABLE jobs ADD COLUMN idempotency_key TEXT;
    ALTER TABLE jobs ADD COLUMN request_hash BLOB;
    CREATE UNIQUE INDEX jobs_by_idempotency ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
    """,
    """
    ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    """,
)
"""Applied in order, each once; `user_version` counts them. Never change one that was released: add another."""


class Database:
    """A connection that lives on its own thread."""

    def __init__(self, path: Path, journal: Journal = Journal.TRUNCATE) -> None:
        """Open or create the file and bring it to the newest form; raises sqlite3.Error."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")
        self._connection = self._thread.submit(_connect, path, journal).result()

    async def run(self, work: Work[Result]) -> Result:
        """Do `work` in one transaction; it is committed when this returns. Raises Problem(STORE_UNAVAILABLE)."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._transaction, work)
        except sqlite3.Error as error:
            raise Problem(Code.STORE_UNAVAILABLE) from error

    async def read(self, work: Work[Result]) -> Result:
        """Do `work` outside a transaction: for single statements that only look. Raises Problem(STORE_UNAVAILABLE)."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, self._connection)
        except sqlite3.Error as error:
            raise Problem(Code.STORE_UNAVAILABLE) from error

    def run_now(self, work: Work[Result]) -> Result:
        """Do the same without an event loop; raises sqlite3.Error."""
        return self._thread.submit(self._transaction, work).result()

    def close(self) -> None:
        """Finish what was begun and close the file."""
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    def _transaction(self, work: Work[Result]) -> Result:
        with _transaction(self._connection):
            return work(self._connection)


def _connect(path: Path, journal: Journal) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA journal_mode={journal.value}")
    connection.execute("PRAGMA synchronous=FULL")
    with _transaction(connection):
        _migrate(connection)
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    done = connection.execute("PRAGMA user_version").fetchone()[0]
    for script in MIGRATIONS[done:]:
        # Statement by statement: executescript would commit the transaction around it.
        for statement in filter(str.strip, script.split(";")):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE: a reader that turns writer half-way would fail at once when the keys command writes meanwhile.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
