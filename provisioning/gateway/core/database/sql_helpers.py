"""The few things that SQLAlchemy does not say in one way for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from provisioning.gateway.core.database.tables import Base, MetaRow

MAX_BOUND = 500
"""Values in one IN list: both databases have a limit, and a client may name many thousand ids."""

# Statements are built once: to build one costs more than to execute it.
_NEW = insert(MetaRow)
_CHANGE = update(MetaRow).where(MetaRow.name == bindparam("wanted"))
_WORD = select(MetaRow.value).where(MetaRow.name == bindparam("wanted"))


def add_new(connection: Connection, table: type[Base], values: Mapping[str, Any]) -> bool:
    """Insert a row; False, and nothing is done, when one of its unique values is taken."""
    build = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    # Inline: the number that the row gets is not asked for, since there may be none.
    statement = build(table).on_conflict_do_nothing().inline()
    return connection.execute(statement, values, execution_options={"preserve_rowcount": True}).rowcount == 1


def set_meta(connection: Connection, name: str, value: str) -> None:
    """Keep a word under a name, within a transaction that writes."""
    if connection.execute(_CHANGE, {"wanted": name, "value": value}).rowcount == 0:
        connection.execute(_NEW, {"name": name, "value": value})


def get_meta(connection: Connection, name: str) -> str | None:
    """Return what is kept under a name."""
    return connection.execute(_WORD, {"wanted": name}).scalar()


def in_chunks(values: Collection[str]) -> Iterator[list[str]]:
    """Yield values in parts that one statement can take."""
    every = list(values)
    for start in range(0, len(every), MAX_BOUND):
        yield every[start : start + MAX_BOUND]
