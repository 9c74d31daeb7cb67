"""Reserve, settle, release: each within the transaction that writes down the work itself.

There is one writer at a time, on SQLite and PostgreSQL alike, so what is read here holds until it is written: no two
requests are both given the last of a quota. A kill leaves the work and its reservation together, or neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from provisioning.gateway.usage import balance
from provisioning.gateway.usage.balance import EVERY, PARTS, WINDOWS, Balance
from provisioning.gateway.usage.refusals import Violation, refusal
from provisioning.gateway.usage.reservation import BillingSubject, Reservation, WindowKey
from provisioning.gateway.usage.tables import ReservationRow, UsageEventRow
from provisioning.gateway.usage.units import EXACT, MEASURES, NOTHING, Amounts, of_unit

Found = Mapping[WindowKey, Balance | None]

_COLUMNS = [f"{part}_{name}" for part in PARTS for name in Amounts._fields]
_RESERVATIONS = ReservationRow.metadata.tables[ReservationRow.__tablename__]

# Statements are built once: to build one costs more than to execute it.
_NEW = insert(WINDOWS)
_ADD = update(WINDOWS).where(EVERY).values({name: WINDOWS.c[name] + bindparam(f"more_{name}") for name in _COLUMNS})
_HOLD = insert(_RESERVATIONS)
_HELD = select(_RESERVATIONS).where(_RESERVATIONS.c.id == bindparam("claim"))
_DROP = delete(_RESERVATIONS).where(_RESERVATIONS.c.id == bindparam("claim"))
_RECORD = insert(UsageEventRow.metadata.tables[UsageEventRow.__tablename__])


def reserve(connection: Connection, claim: Reservation) -> None:
    """Set aside what work may take; raises Problem QUOTA_EXCEEDED or QUOTA_EXHAUSTED, and then nothing is."""
    account = claim.account
    found = balance.read(connection, account.windows())
    granted = _granted(claim, found)
    _open(connection, found)
    _add(connection, found, NOTHING, granted)
    row = {"id": claim.id, "owner": account.owner, "key_id": account.key_id, "at": account.at}
    connection.execute(_HOLD, row | {"expires_at": claim.expires_at} | granted._asdict())


def settle(connection: Connection, claim_id: str, account: BillingSubject, taken: Amounts, at: int) -> None:
    """Count what work took, once it has ended; `account` is for work that nothing was set aside for.

    It counts in the day and month in which it was accepted.
    """
    row = _closed(connection, claim_id)
    account = account if row is None else BillingSubject(row.owner, row.key_id, row.at)
    if row is None:
        _open(connection, balance.read(connection, account.windows()))
    _add(connection, account.windows(), taken, _given_back(row))
    _record(connection, claim_id, account, taken, at)


def release(connection: Connection, claim_id: str) -> None:
    """Give back what was set aside for work that never began; without a reservation nothing happens."""
    row = _closed(connection, claim_id)
    if row is not None:
        _add(connection, BillingSubject(row.owner, row.key_id, row.at).windows(), NOTHING, _given_back(row))


def _granted(claim: Reservation, found: Found) -> Amounts:
    violations, granted = [], claim.wanted._asdict()
    for quota in claim.quotas:
        key = next(p for p in found if (p.subject, p.window.period) == (quota.subject, quota.period))
        now, measure = found[key] or Balance(), MEASURES[quota.unit].name
        wanted, room = of_unit(claim.wanted, quota.unit), now.room(quota.unit, quota.limit)
        if wanted and room < (wanted if measure in EXACT else 1):
            violations.append(Violation(quota, key.window, now))
        granted[measure] = min(granted[measure], room)
    if violations:
        raise refusal(violations, claim.account.at)
    return Amounts(**granted)


def _open(connection: Connection, found: Found) -> None:
    """Make the rows of windows that nothing was ever counted in."""
    missing = [balance.columns_of(key) for key, now in found.items() if now is None]
    if missing:
        connection.execute(_NEW, missing)


def _add(connection: Connection, windows: Iterable[WindowKey], used: Amounts, reserved: Amounts) -> None:
    more = {f"more_{column}": amount for column, amount in zip(_COLUMNS, (*used, *reserved), strict=True)}
    connection.execute(_ADD, balance.parameters(windows) | more)


def _closed(connection: Connection, claim_id: str) -> Row[Any] | None:
    """Return a reservation's row, and delete it."""
    row = connection.execute(_HELD, {"claim": claim_id}).one_or_none()
    if row is not None:
        connection.execute(_DROP, {"claim": claim_id})
    return row


def _given_back(row: Row[Any] | None) -> Amounts:
    return NOTHING if row is None else Amounts(*(-getattr(row, name) for name in Amounts._fields))


def _record(connection: Connection, claim_id: str, account: BillingSubject, taken: Amounts, at: int) -> None:
    whose = {"job_id": claim_id, "owner": account.owner, "key_id": account.key_id, "at": at}
    events = [
        {"id": f"{claim_id}:{kind}", "kind": kind, "quantity": quantity, **whose}
        for kind, quantity in taken._asdict().items()
        if quantity
    ]
    if events:
        connection.execute(_RECORD, events)
