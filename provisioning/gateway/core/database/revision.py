"""The revision of a database, read without Alembic, which is slow to import and rarely needed."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

NEWEST = max(path.name.partition("_")[0] for path in (Path(__file__).parent / "migrations" / "versions").glob("r*.py"))
"""The newest revision of the schema; the file names of the revisions are numbered in ascending order."""


class MigrationError(Exception):
    """The database has a schema that this gateway cannot use; the message gives the remedy."""


def is_newest(connection: Connection) -> bool:
    """Return whether a database has the newest revision."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [NEWEST]
