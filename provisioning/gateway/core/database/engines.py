"""How each kind of database is opened, and how a transaction begins that writes.

SQLite with a log (core.database.log): WAL without checkpoints of its own and without syncs, since the container disk
ends with the pod and the log on the volume is what counts. Without one: a rollback journal with FULL syncs, unless the
settings say otherwise.
PostgreSQL: a small pool; writers take one advisory lock, so that on both there is one writer at a time and a
transaction that reads before it writes is as safe as one statement.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event

from provisioning.contract.gateway_options import Journal

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


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: a reader that turns writer half-way would fail at once when the keys command writes meanwhile.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


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
