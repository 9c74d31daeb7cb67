"""SELECTs of one thing, which most requests make: compiled once, and executed by the driver itself.

Over one row SQLAlchemy's execution takes eight times as long as SQLite's driver and four times as long as psycopg. What
it knows is used all the same: its dialect writes the text, and the columns' types read what was found, so that booleans
are booleans and what is sealed is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Connection, Dialect, Select, Text, bindparam, or_
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import InstrumentedAttribute

Found = TypeVar("Found")


class _Plan(NamedTuple):
    """A statement as one dialect has it."""

    text: str
    places: Sequence[str] | None
    """The values' names, in the order in which the driver wants them; None where it takes them by name."""
    readers: Sequence[tuple[int, Callable[[Any], Any]]]
    """What makes of a stored value what is meant, for the columns where these differ."""


class Lookup(Generic[Found]):
    """A SELECT by bound values, each of them text; every row that it finds becomes a record."""

    def __init__(self, statement: Select[Any], record: Callable[[Sequence[Any]], Found]) -> None:
        """Take the statement, and what makes a record of the values of a row."""
        self._statement = statement
        self._record = record
        self._plans: WeakKeyDictionary[Dialect, _Plan] = WeakKeyDictionary()

    def first(self, connection: Connection, **values: str | None) -> Found | None:
        """Return the first that is found, or None; raises SQLAlchemyError."""
        found = self.all(connection, **values)
        return found[0] if found else None

    def all(self, connection: Connection, **values: str | None) -> list[Found]:
        """Return everything that is found; raises SQLAlchemyError."""
        dialect = connection.dialect
        plan = self._plans.get(dialect) or self._plans.setdefault(dialect, _planned(self._statement, dialect))
        bound = values if plan.places is None else [values[name] for name in plan.places]
        try:
            rows = _driver(connection).execute(plan.text, bound).fetchall()
        except dialect.loaded_dbapi.Error as error:
            raise DatabaseError(plan.text, None, error) from error
        return [self._record(_read(row, plan.readers)) for row in rows]


def seen_by(owner: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return what is true of whatever the bound `owner` may see: its own, or everything when it is None.

    Only beside a condition that finds few rows: no index is of use for this one.
    """
    given = bindparam("owner", type_=Text)
    return or_(given.is_(None), owner == given)


def _planned(statement: Select[Any], dialect: Dialect) -> _Plan:
    compiled = statement.compile(dialect=dialect)
    types = [column.type.dialect_impl(dialect) for column in statement.selected_columns]
    readers = [(place, kind.result_processor(dialect, None)) for place, kind in enumerate(types)]
    return _Plan(compiled.string, compiled.positiontup, [(place, read) for place, read in readers if read is not None])


def _driver(connection: Connection) -> Any:  # noqa: ANN401 - sqlite3's or psycopg's: both have `execute`
    return connection.connection.dbapi_connection


def _read(row: Sequence[Any], readers: Sequence[tuple[int, Callable[[Any], Any]]]) -> list[Any]:
    values = list(row)
    for place, read in readers:
        values[place] = read(values[place])
    return values
