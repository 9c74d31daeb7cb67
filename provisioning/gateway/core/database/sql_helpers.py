"""SQL helpers for what SQLAlchemy lacks a common form of for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from provisioning.gateway.core.database.tables import Base, MetaRow

MAX_BOUND = 500
"""Most values in one IN list: both databases have a limit, and a client may send many thousand ids."""

# Built once: building a statement costs more than executing it.
_NEW = insert(MetaRow)
_CHANGE = update(MetaRow).where(MetaRow.name == bindparam("wanted"))
_WORD = select(MetaRow.value).where(MetaRow.name == bindparam("wanted"))


def add_new(connection: Connection, table: type[Base], values: Mapping[str, Any]) -> bool:
    """Insert a row; return False without inserting when one of its unique values exists."""
    build = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    # Inline: the generated key is not fetched, since there may be no row.
    statement = build(table).on_conflict_do_nothing().inline()
    return connection.execute(statement, values, execution_options={"preserve_rowcount": True}).rowcount == 1


def set_meta(connection: Connection, name: str, value: str) -> None:
    """Store a value under a name in the `meta` table, within a write transaction."""
    if connection.execute(_CHANGE, {"wanted": name, "value": value}).rowcount == 0:
        connection.execute(_NEW, {"name": name, "value": value})


def get_meta(connection: Connection, name: str) -> str | None:
    """Return the value stored under a name; None when there is none."""
    return connection.execute(_WORD, {"wanted": name}).scalar()


def in_chunks(values: Collection[str]) -> Iterator[list[str]]:
    """Yield values in chunks that fit into one statement."""
    every = list(values)
    for start in range(0, len(every), MAX_BOUND):
        yield every[start : start + MAX_BOUND]
