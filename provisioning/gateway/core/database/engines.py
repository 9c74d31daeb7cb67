"""Engines for SQLite and PostgreSQL, and how their write transactions begin.

SQLite with a log (core.database.log): WAL without automatic checkpoints and without syncs, since the container disk is
lost with the pod and the log on the volume is the durable copy. SQLite without a log: a rollback journal with FULL
syncs, unless the settings choose another journal.
PostgreSQL: a small pool; writers take one advisory lock. On both there is one writer at a time, so that a transaction
that reads before it writes is as safe as a single statement.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event

from provisioning.contract.gateway_options import Journal

WRITER_LOCK = 0x63677731
"""An arbitrary number that nothing else in the same PostgreSQL database may use."""

BUSY_SECONDS = 10
"""How long a writer waits for another process before it fails with STORE_UNAVAILABLE."""

POOL_SIZE = 4
"""Connections to PostgreSQL, and threads that use them: one writes while the others read."""

_WRITES = {"gateway_writes": True}


def sqlite_engine(url: URL, journal: Journal, *, wipe: bool, shipped: bool = False) -> Engine:
    """Return an engine with one connection, for the one thread that may use it.

    `wipe`: overwrite deleted rows; `shipped`: a log on the volume makes commits durable, not the file.
    """
    timeout = {"timeout": BUSY_SECONDS}
    # Errors quote the statement; they must not quote its values, which include prompts and names.
    engine = create_engine(url, poolclass=StaticPool, connect_args=timeout, hide_parameters=True)

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        # `_begin_sqlite` begins the transactions; the driver must not begin them implicitly.
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
    # IMMEDIATE: a read transaction that starts to write would fail at once when the keys command writes meanwhile.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def postgresql_engine(url: URL) -> Engine:
    """Return an engine with a pool; a connection that the server closed is replaced before use."""
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
    """Return the same engine with write transactions."""
    return engine.execution_options(**_WRITES)


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("gateway_writes"))
