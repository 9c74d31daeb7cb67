"""The balance of a window: the amounts that were used in it and that are set aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, or_, select

from provisioning.contract.gateway_options import Unit
from provisioning.gateway.usage.reservation import WINDOW_COUNT, WindowKey
from provisioning.gateway.usage.tables import QuotaWindowRow
from provisioning.gateway.usage.units import NOTHING, Amounts, of_unit


@dataclass(frozen=True)
class Balance:
    """One window's numbers."""

    used: Amounts = NOTHING
    reserved: Amounts = NOTHING

    def room(self, unit: Unit, limit: int) -> int:
        """Return how much of a unit's measure is left; below 0 when work took more than was thought."""
        return limit - of_unit(self.used, unit) - of_unit(self.reserved, unit)


def columns_of(key: WindowKey) -> dict[str, object]:
    """Return the key of a window's row."""
    return {
        "subject": key.subject.value, "name": key.name,
        "period": key.window.period.value, "start": key.window.start,
    }  # fmt: skip


def parameters(windows: Iterable[WindowKey]) -> dict[str, object]:
    """Return what EVERY is to be executed with."""
    return {f"{name}_{index}": value for index, key in enumerate(windows) for name, value in columns_of(key).items()}


def read(connection: Connection, windows: Sequence[WindowKey]) -> Mapping[WindowKey, Balance | None]:
    """Return the balances of windows; None for one in which nothing was ever counted."""
    rows = connection.execute(_READ, parameters(windows))
    known: dict[tuple[object, ...], Balance] = {
        (row.subject, row.name, row.period, row.start): _balance(row) for row in rows
    }
    return {key: known.get(tuple(columns_of(key).values())) for key in windows}


def _balance(row: Row[Any]) -> Balance:
    used, reserved = (Amounts(*(getattr(row, f"{part}_{name}") for name in Amounts._fields)) for part in PARTS)
    return Balance(used, reserved)


def _is(index: int) -> ColumnElement[bool]:
    key = ("subject", "name", "period", "start")
    return and_(*(WINDOWS.c[name] == bindparam(f"{name}_{index}") for name in key))


PARTS = ("used", "reserved")
"""What the columns of a window's row begin with."""

WINDOWS = QuotaWindowRow.metadata.tables[QuotaWindowRow.__tablename__]

# Statements are built once: to build one costs more than to execute it.
EVERY = or_(*map(_is, range(WINDOW_COUNT)))
"""The windows of one account."""

_READ = select(WINDOWS).where(EVERY)
