"""Which form a database is in; known without Alembic, which takes long to load and is seldom needed."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

NEWEST = max(path.name.partition("_")[0] for path in (Path(__file__).parent / "migrations" / "versions").glob("r*.py"))
"""The revision that this gateway brings a database to: the names of the revisions' files count up."""


class MigrationError(Exception):
    """The database is of a form that this gateway cannot use; the text says what to do."""


def is_newest(connection: Connection) -> bool:
    """Return whether there is nothing to migrate."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [NEWEST]
