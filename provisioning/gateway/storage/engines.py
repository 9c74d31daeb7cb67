"""How each kind of database is opened, and how a transaction begins that writes.

SQLite with a log (storage.log): WAL without checkpoints of its own and without syncs, since the container disk ends
with the pod and the log on the volume is what counts. Without one: a rollback journal with FULL syncs, unless the
settings say otherwise.
PostgreSQL: a small pool; writers take one advisory lock, so that on both there is one writer at a time and a
transaction that reads before it writes is as safe as one statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event

from provisioning.gateway.options import Journal

WRITER_LOCK = 0x63677731
"""Any number, so long as nothing else in the same PostgreSQL database uses it."""

BUSY_SECONDS = 10
"""How long a writer waits for another process, before the caller is told that the database is not available."""

POOL_SIZE = 4
"""Connections to PostgreSQL, and threads that wait for it: one writes, the others read meanwhile."""

_WRITES = {"gateway_writes": True}


def sqlite_engine(url: URL, journal: Journal, *, wipe: bool, shipped: bool = False) -> Engine:
    """Return an engine with one connection, for the one thread that may use it.

    `wipe`: overwrite what is deleted; `shipped`: a log has what is committed, whatever becomes of the file.
    """
    timeout = {"timeout": BUSY_SECONDS}
    # An error that quotes its statement must not quote the values: prompts and names are among them.
    engine = create_engine(url, poolclass=StaticPool, connect_args=timeout, hide_parameters=True)

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        # Transactions are begun below, and not by the driver at a moment of its own choice.
        connection.isolation_level = None
        connection.execute(f"PRAGMA journal_mode={(Journal.WAL if shipped else journal).value}")
        connection.execute(f"PRAGMA synchronous={'OFF' if shipped else 'FULL'}")
        if shipped:
            connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(f"PRAGMA secure_delete={'ON' if wipe else 'OFF'}")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


class Lasting:
    """Begins transactions on a connection of SQLAlchemy's that stays open, for the one thread that may use it.

    To open and close one for each takes five times as long as a short transaction does.
    """

    def __init__(self, engine: Engine) -> None:
        """Take an engine that has one connection."""
        self._engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Do what the engine's `begin` does."""
        if self._connection is None:
            self._connection = self._engine.connect()
        with self._connection.begin():
            yield self._connection

    def dispose(self) -> None:
        """Close the connection, and the engine's own."""
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()


def reading(engine: Engine) -> Engine | Lasting:
    """Return what begins transactions that only look, as often as once for every request."""
    return Lasting(engine) if isinstance(engine.pool, StaticPool) else engine


def _begin_sqlite(connection: Connection) -> None:
    if _writes(connection):
        # IMMEDIATE: a reader that turns writer half-way would fail at once when the keys command writes meanwhile.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # Past SQLAlchemy, which takes longer over it than over a short SELECT; this one waits for nobody.
        driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
        driver.execute("BEGIN").close()


def postgresql_engine(url: URL) -> Engine:
    """Return an engine with a pool; a connection that the server has closed is replaced before it is used."""
    limits = f"-c lock_timeout={BUSY_SECONDS}s -c idle_in_transaction_session_timeout=60s"
    arguments: dict[str, Any] = {"connect_timeout": BUSY_SECONDS, "application_name": "comfyui-gateway"}
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={**arguments, "options": limits} | dict(url.query),
    )
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _begin_postgresql(connection: Connection) -> None:
    if _writes(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")


def writing(engine: Engine) -> Engine:
    """Return the same engine, with transactions that write."""
    return engine.execution_options(**_WRITES)


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("gateway_writes"))
