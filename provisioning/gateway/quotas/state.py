"""What a caller may still take, as it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from provisioning.gateway.quotas import standing
from provisioning.gateway.quotas.amounts import of_unit, spoken
from provisioning.gateway.quotas.ceilings import Ceiling
from provisioning.gateway.quotas.claim import Account
from provisioning.gateway.quotas.standing import Standing


def state(connection: Connection, account: Account, ceilings: Sequence[Ceiling]) -> list[dict[str, Any]]:
    """Return every quota that holds for an account, with how it stands at the account's time."""
    found = standing.read(connection, account.places())
    places = {(place.subject, place.window.period): place for place in found}
    rows = []
    for ceiling in ceilings:
        place = places[ceiling.subject, ceiling.period]
        rows.append(_row(ceiling, found[place] or Standing(), place.window.start, place.window.end))
    return rows


def _row(ceiling: Ceiling, now: Standing, start: int, end: int) -> dict[str, Any]:
    unit = ceiling.unit
    numbers = {
        "limit": ceiling.limit,
        "used": of_unit(now.used, unit),
        "reserved": of_unit(now.reserved, unit),
        "remaining": max(0, now.room(unit, ceiling.limit)),
    }
    return {
        "name": ceiling.name,
        "subject": ceiling.subject.value,
        "unit": unit.value,
        "period": ceiling.period.value,
        **{name: spoken(unit, number) for name, number in numbers.items()},
        "starts_at": start,
        "ends_at": end,
    }
