"""How a window stands: what was used in it and what is set aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, or_, select

from provisioning.gateway.access.allowance import Unit
from provisioning.gateway.quotas.amounts import NOTHING, Amounts, of_unit
from provisioning.gateway.quotas.claim import PLACES, Place
from provisioning.gateway.quotas.tables import QuotaWindowRow


@dataclass(frozen=True)
class Standing:
    """One window's numbers."""

    used: Amounts = NOTHING
    reserved: Amounts = NOTHING

    def room(self, unit: Unit, limit: int) -> int:
        """Return how much of a unit's measure is left; below 0 when work took more than was thought."""
        return limit - of_unit(self.used, unit) - of_unit(self.reserved, unit)


def key_of(place: Place) -> dict[str, object]:
    """Return the key of a window's row."""
    return {
        "subject": place.subject.value, "name": place.name,
        "period": place.window.period.value, "start": place.window.start,
    }  # fmt: skip


def parameters(places: Iterable[Place]) -> dict[str, object]:
    """Return what EVERY is to be executed with."""
    return {f"{name}_{index}": value for index, place in enumerate(places) for name, value in key_of(place).items()}


def read(connection: Connection, places: Sequence[Place]) -> Mapping[Place, Standing | None]:
    """Return how an account's windows stand; None for one that nothing was ever counted in."""
    rows = connection.execute(_READ, parameters(places))
    known: dict[tuple[object, ...], Standing] = {
        (row.subject, row.name, row.period, row.start): _standing(row) for row in rows
    }
    keys = {place: tuple(key_of(place).values()) for place in places}
    return {place: known.get(key) for place, key in keys.items()}


def _standing(row: Row[Any]) -> Standing:
    used, reserved = (Amounts(*(getattr(row, f"{part}_{name}") for name in Amounts._fields)) for part in PARTS)
    return Standing(used, reserved)


def _is(index: int) -> ColumnElement[bool]:
    key = ("subject", "name", "period", "start")
    return and_(*(WINDOWS.c[name] == bindparam(f"{name}_{index}") for name in key))


PARTS = ("used", "reserved")
"""What the columns of a window's row begin with."""

WINDOWS = QuotaWindowRow.metadata.tables[QuotaWindowRow.__tablename__]

# Statements are built once: to build one costs more than to execute it.
EVERY = or_(*map(_is, range(PLACES)))
"""The windows of one account."""

_READ = select(WINDOWS).where(EVERY)
