"""Reserving, settling and releasing amounts, each in the transaction that stores the work itself.

SQLite and PostgreSQL have one writer at a time here, so that a balance that was read stays valid until the commit: no
two requests get the last of a quota. After a kill, both the work and its reservation exist, or neither.
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

Balances = Mapping[WindowKey, Balance | None]

_COLUMNS = [f"{part}_{name}" for part in PARTS for name in Amounts._fields]
_RESERVATIONS = ReservationRow.metadata.tables[ReservationRow.__tablename__]

# Statements are built once, since building one takes longer than executing it.
_NEW = insert(WINDOWS)
_ADD = update(WINDOWS).where(EVERY).values({name: WINDOWS.c[name] + bindparam(f"more_{name}") for name in _COLUMNS})
_HOLD = insert(_RESERVATIONS)
_HELD = select(_RESERVATIONS).where(_RESERVATIONS.c.id == bindparam("reservation"))
_DROP = delete(_RESERVATIONS).where(_RESERVATIONS.c.id == bindparam("reservation"))
_RECORD = insert(UsageEventRow.metadata.tables[UsageEventRow.__tablename__])


def reserve(connection: Connection, reservation: Reservation) -> None:
    """Reserve the amounts that work may use; raises Problem QUOTA_EXCEEDED or QUOTA_EXHAUSTED, and reserves nothing."""
    account = reservation.account
    balances = balance.read(connection, account.windows())
    granted = _granted(reservation, balances)
    _open(connection, balances)
    _add(connection, balances, NOTHING, granted)
    row = {"id": reservation.id, "owner": account.owner, "key_id": account.key_id, "at": account.at}
    connection.execute(_HOLD, row | {"expires_at": reservation.expires_at} | granted._asdict())


def settle(connection: Connection, reservation_id: str, account: BillingSubject, used: Amounts, at: int) -> None:
    """Count the amounts that ended work used; `account` is for work without a reservation.

    They count in the day and month in which the work was accepted.
    """
    row = _delete_reservation(connection, reservation_id)
    account = account if row is None else BillingSubject(row.owner, row.key_id, row.at)
    if row is None:
        _open(connection, balance.read(connection, account.windows()))
    _add(connection, account.windows(), used, _released(row))
    _record(connection, reservation_id, account, used, at)


def release(connection: Connection, reservation_id: str) -> None:
    """Release the reservation of work that never began; does nothing without a reservation."""
    row = _delete_reservation(connection, reservation_id)
    if row is not None:
        _add(connection, BillingSubject(row.owner, row.key_id, row.at).windows(), NOTHING, _released(row))


def _granted(reservation: Reservation, balances: Balances) -> Amounts:
    violations, granted = [], reservation.wanted._asdict()
    for quota in reservation.quotas:
        key = next(p for p in balances if (p.subject, p.window.period) == (quota.subject, quota.period))
        now, measure = balances[key] or Balance(), MEASURES[quota.unit].name
        wanted, remaining = of_unit(reservation.wanted, quota.unit), now.remaining(quota.unit, quota.limit)
        if wanted and remaining < (wanted if measure in EXACT else 1):
            violations.append(Violation(quota, key.window, now))
        granted[measure] = min(granted[measure], remaining)
    if violations:
        raise refusal(violations, reservation.account.at)
    return Amounts(**granted)


def _open(connection: Connection, balances: Balances) -> None:
    """Insert the rows of windows that have none yet."""
    missing = [balance.columns_of(key) for key, now in balances.items() if now is None]
    if missing:
        connection.execute(_NEW, missing)


def _add(connection: Connection, windows: Iterable[WindowKey], used: Amounts, reserved: Amounts) -> None:
    more = {f"more_{column}": amount for column, amount in zip(_COLUMNS, (*used, *reserved), strict=True)}
    connection.execute(_ADD, balance.parameters(windows) | more)


def _delete_reservation(connection: Connection, reservation_id: str) -> Row[Any] | None:
    """Delete a reservation and return its row."""
    row = connection.execute(_HELD, {"reservation": reservation_id}).one_or_none()
    if row is not None:
        connection.execute(_DROP, {"reservation": reservation_id})
    return row


def _released(row: Row[Any] | None) -> Amounts:
    return NOTHING if row is None else Amounts(*(-getattr(row, name) for name in Amounts._fields))


def _record(connection: Connection, reservation_id: str, account: BillingSubject, used: Amounts, at: int) -> None:
    columns = {"job_id": reservation_id, "owner": account.owner, "key_id": account.key_id, "at": at}
    events = [
        {"id": f"{reservation_id}:{kind}", "kind": kind, "quantity": quantity, **columns}
        for kind, quantity in used._asdict().items()
        if quantity
    ]
    if events:
        connection.execute(_RECORD, events)
