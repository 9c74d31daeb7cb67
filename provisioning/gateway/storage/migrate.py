"""Bringing a database to the form that this gateway knows, whatever former gateway made it.

Runs at every start, inside the one transaction that may write, so that of two gateways that start together on one
database the second finds the work done. Both databases roll a failed migration back as a whole.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from provisioning.gateway.storage import address

_log = logging.getLogger(__name__)

BASELINE = "r0001"
"""The form of gateways that kept their own count in `user_version`, when it stood at BASELINE_VERSION."""

BASELINE_VERSION = 3


class MigrationError(Exception):
    """The database is of a form that this gateway cannot use; the text says what to do."""


def config(connection: Connection | None = None) -> Config:
    """Return Alembic's settings, for a connection within a transaction."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    return settings


def to_newest(connection: Connection) -> None:
    """Apply what is missing, after copying an SQLite file that holds something; raises MigrationError."""
    settings = config(connection)
    scripts = ScriptDirectory.from_config(settings)
    present = _present(connection, scripts)
    if present == scripts.get_current_head():
        return
    if present is not None:
        _keep_copy(connection, present)
    if present == BASELINE and not _is_counted(connection):
        command.stamp(settings, BASELINE)
    command.upgrade(settings, "head")
    _log.info("database migrated", extra={"former": present, "now": scripts.get_current_head()})


def _is_counted(connection: Connection) -> bool:
    return inspect(connection).has_table("alembic_version")


def _present(connection: Connection, scripts: ScriptDirectory) -> str | None:
    """Return the revision that a database is at; None when it is empty."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        return _before_revisions(connection)
    if revision not in {script.revision for script in scripts.walk_revisions()}:
        raise MigrationError(
            f"made by a newer gateway (revision {revision}); install that version again, or restore the copy that it "
            "made before its migration"
        )
    return revision


def _before_revisions(connection: Connection) -> str | None:
    if not inspect(connection).has_table("jobs"):
        return None
    version = connection.exec_driver_sql("PRAGMA user_version").scalar() if _file(connection) else None
    if version != BASELINE_VERSION:
        raise MigrationError(
            f"its form (user_version {version}) is not one that can be brought forward; start the gateway that made it "
            f"at version {BASELINE_VERSION} once, or give another database"
        )
    return BASELINE


def _keep_copy(connection: Connection, present: str) -> None:
    """Copy an SQLite file beside itself, as `<name>.before-migration-from-<revision>`; former copies go."""
    path = _file(connection)
    if path is None:
        return
    copy = path.with_name(f"{path.name}.before-migration-from-{present}")
    copy_file(path, copy)
    for former in path.parent.glob(f"{path.name}.before-migration-from-*"):
        if former != copy:
            former.unlink()


def copy_file(source: Path, target: Path) -> None:
    """Copy an SQLite database, as it was last committed, to a file that is whole or not there; raises OSError.

    Others may write meanwhile: SQLite's own backup begins anew when they do. The copy is the owner's to read alone.
    """
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        _copy(source, partial)
        partial.replace(target)
    except sqlite3.Error as error:
        raise OSError(f"{target}: the copy could not be made ({error}); make room or name another place") from error
    finally:
        partial.unlink(missing_ok=True)
    sync(target.parent)


def _copy(source: Path, target: Path) -> None:
    reader = sqlite3.connect(source, timeout=10)
    writer = sqlite3.connect(target)
    try:
        reader.backup(writer)
    finally:
        writer.close()
        reader.close()


def sync(folder: Path) -> None:
    """Have the folder's entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file(connection: Connection) -> Path | None:
    return address.file_of(connection.engine.url)
