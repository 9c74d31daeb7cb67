"""Migration of a database to the newest revision, from any former gateway's.

Runs at every start inside the single write transaction: of two gateways that start at once, the second finds the
migration done. Both databases roll back a failed migration as a whole.
"""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from provisioning.gateway.core import database_url
from provisioning.gateway.core.database.revision import MigrationError
from provisioning.gateway.core.database.sqlite_backup import copy_file

_log = logging.getLogger(__name__)

BASELINE = "r0001"
"""The revision of databases from before Alembic, which had BASELINE_VERSION in `user_version`."""

BASELINE_VERSION = 3


def config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for a connection within a transaction."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    return settings


def to_newest(connection: Connection) -> None:
    """Apply the missing migrations, after copying a non-empty SQLite file; raises MigrationError."""
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
    """Return the revision of a database; None when it is empty."""
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
            f"its schema (user_version {version}) cannot be migrated; start the gateway that made it "
            f"at version {BASELINE_VERSION} once, or give another database"
        )
    return BASELINE


def _keep_copy(connection: Connection, present: str) -> None:
    """Copy an SQLite file to `<name>.before-migration-from-<revision>` beside it and delete former copies."""
    path = _file(connection)
    if path is None:
        return
    copy = path.with_name(f"{path.name}.before-migration-from-{present}")
    copy_file(path, copy)
    for former in path.parent.glob(f"{path.name}.before-migration-from-*"):
        if former != copy:
            former.unlink()


def _file(connection: Connection) -> Path | None:
    return database_url.file_of(connection.engine.url)
