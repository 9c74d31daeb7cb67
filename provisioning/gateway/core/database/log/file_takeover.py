"""Import of a database from before the log existed: an SQLite file on the volume, imported once."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from provisioning.gateway.core.database.sqlite_backup import copy_file

_log = logging.getLogger(__name__)


def take(former: Path, target: Path) -> None:
    """Copy the file to the container disk and block further writes to it; raises OSError.

    A gateway of an earlier version does not know epochs. Its writes after the copy would be lost, so that triggers
    refuse them: its clients get a 503.
    """
    try:
        with closing(sqlite3.connect(former, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            copy_file(former, target)
            _each(connection, 'CREATE TRIGGER IF NOT EXISTS "moved_{0}_{1}" BEFORE {1} ON "{0}" '
                  "BEGIN SELECT RAISE(ABORT, 'this database was taken over by a newer gateway'); END")  # fmt: skip
            connection.execute("COMMIT")
        with closing(sqlite3.connect(target, isolation_level=None)) as connection:
            # An import that was killed may have set them already.
            _each(connection, 'DROP TRIGGER IF EXISTS "moved_{0}_{1}"')
    except sqlite3.Error as error:
        raise OSError(f"{former}: the former database cannot be imported ({error})") from error


def put_away(former: Path | None) -> None:
    """Rename the file, once the log holds its content."""
    if former is None or not former.exists():
        return
    try:
        former.replace(former.with_name(f"{former.name}.taken-over"))
    except OSError as error:
        _log.warning("%s cannot be renamed and is ignored from now on: %s", former, error.strerror)


def _each(connection: sqlite3.Connection, statement: str) -> None:
    every = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for [table] in connection.execute(every).fetchall():
        for act in ("INSERT", "UPDATE", "DELETE"):
            connection.execute(statement.format(table, act))
