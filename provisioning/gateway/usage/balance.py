"""The balance of a window: its used and reserved amounts."""

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
    """The used and reserved amounts of a window."""

    used: Amounts = NOTHING
    reserved: Amounts = NOTHING

    def remaining(self, unit: Unit, limit: int) -> int:
        """Return what is left of a limit in the unit's measure; below 0 when work used more than was reserved."""
        return limit - of_unit(self.used, unit) - of_unit(self.reserved, unit)


def columns_of(key: WindowKey) -> dict[str, object]:
    """Return the primary key of a window's row."""
    return {
        "subject": key.subject.value, "name": key.name,
        "period": key.window.period.value, "start": key.window.start,
    }  # fmt: skip


def parameters(windows: Iterable[WindowKey]) -> dict[str, object]:
    """Return the parameters of EVERY."""
    return {f"{name}_{index}": value for index, key in enumerate(windows) for name, value in columns_of(key).items()}


def read(connection: Connection, windows: Sequence[WindowKey]) -> Mapping[WindowKey, Balance | None]:
    """Return the balances of windows; None for a window without a row."""
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
"""The prefixes of the columns of a window's row."""

WINDOWS = QuotaWindowRow.metadata.tables[QuotaWindowRow.__tablename__]

# Statements are built once, since building one takes longer than executing it.
EVERY = or_(*map(_is, range(WINDOW_COUNT)))
"""The windows of one account."""

_READ = select(WINDOWS).where(EVERY)
