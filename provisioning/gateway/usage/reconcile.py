"""Repairs what a kill or a bug may leave: reservations of work that is no longer in progress."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, exists, or_, select, update

from provisioning.gateway.core.database.tables import JobRow
from provisioning.gateway.usage import balance, ledger
from provisioning.gateway.usage.reservation import BillingSubject
from provisioning.gateway.usage.tables import QuotaWindowRow, ReservationRow
from provisioning.gateway.usage.units import Amounts

_log = logging.getLogger(__name__)

_HELD = (JobRow.id == ReservationRow.id, JobRow.finished_at.is_(None))


def reconcile(connection: Connection, now: int, renewed_until: int) -> int:
    """Release expired reservations, and correct the windows' sums of reservations; returns how many were wrong.

    An unfinished job keeps its reservation however long it waits: it is renewed until `renewed_until`.
    """
    expired = ReservationRow.expires_at <= now
    connection.execute(update(ReservationRow).where(expired, exists().where(*_HELD)).values(expires_at=renewed_until))
    for reservation_id in connection.execute(select(ReservationRow.id).where(expired)).scalars().all():
        ledger.release(connection, reservation_id)
    wrong = _wrong(connection)
    for key, correct in wrong.items():
        _log.error(
            "corrected the reserved sums of a quota window",
            extra={"subject": key[0], "period": key[2], "start": key[3]},
        )
        _set(connection, key, correct)
    return len(wrong)


Key = tuple[object, ...]


def _wrong(connection: Connection) -> Mapping[Key, Amounts]:
    """Return the windows whose sums differ from their reservations, with the correct sums."""
    correct = _sums(connection)
    columns = [getattr(QuotaWindowRow, f"reserved_{name}") for name in Amounts._fields]
    key = (QuotaWindowRow.subject, QuotaWindowRow.name, QuotaWindowRow.period, QuotaWindowRow.start)
    rows = connection.execute(select(*key, *columns).where(or_(*(column != 0 for column in columns)))).all()
    written = {tuple(row[:4]): Amounts(*row[4:]) for row in rows}
    return {
        each: correct.get(each, Amounts())
        for each in written.keys() | correct.keys()
        if written.get(each, Amounts()) != correct.get(each, Amounts())
    }


def _sums(connection: Connection) -> Mapping[Key, Amounts]:
    sums: dict[Key, Amounts] = defaultdict(Amounts)
    for row in connection.execute(select(ReservationRow.__table__)):
        amounts = [getattr(row, name) for name in Amounts._fields]
        for window in BillingSubject(row.owner, row.key_id, row.at).windows():
            key = tuple(balance.columns_of(window).values())
            sums[key] = Amounts(*(have + more for have, more in zip(sums[key], amounts, strict=True)))
    return {key: amounts for key, amounts in sums.items() if any(amounts)}


def _set(connection: Connection, key: Key, correct: Amounts) -> None:
    subject, name, period, start = key
    row = update(QuotaWindowRow).where(
        QuotaWindowRow.subject == subject, QuotaWindowRow.name == name,
        QuotaWindowRow.period == period, QuotaWindowRow.start == start,
    )  # fmt: skip
    connection.execute(row.values({f"reserved_{name}": amount for name, amount in correct._asdict().items()}))
