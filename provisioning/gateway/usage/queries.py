"""Queries of usage: sums by day or month, and single events for billing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, func, select, true

from provisioning.contract.gateway_options import Period
from provisioning.gateway.core.time_units import DAY_MS
from provisioning.gateway.usage.calendar import window
from provisioning.gateway.usage.schemas import PeriodUsage
from provisioning.gateway.usage.tables import UsageEventRow
from provisioning.gateway.usage.units import MEASURES, Amounts, to_display

EXPORTED = ("sequence", "identifier", "event_name", "timestamp", "value", "owner", "key_id", "job_id")
"""The columns of an export. `identifier`, `event_name`, `timestamp` (seconds) and `value` are a meter event of Stripe's
(docs.stripe.com/api/billing/meter-event/create); the reader maps an `owner` to a Stripe customer."""


def by_period(connection: Connection, owner: str | None, since: int, period: Period) -> list[PeriodUsage]:
    """Return an owner's usage, or everybody's for None, by day or month, owner and key, of work ended since a time."""
    day = (UsageEventRow.at - UsageEventRow.at % DAY_MS).label("day")
    by = (day, UsageEventRow.owner, UsageEventRow.key_id, UsageEventRow.kind)
    sums = select(*by, func.sum(UsageEventRow.quantity).label("quantity"))
    rows = connection.execute(sums.where(UsageEventRow.at >= since, _of(owner)).group_by(*by).order_by(*by))
    found: dict[tuple[int, str, str], dict[str, int]] = {}
    for row in rows:
        start = window(period, row.day).start
        amounts = found.setdefault((start, row.owner, row.key_id), Amounts()._asdict())
        amounts[row.kind] += int(row.quantity)
    return [
        PeriodUsage(starts_at=start, owner=found_owner, key_id=key_id, **_displayed(amounts))
        for (start, found_owner, key_id), amounts in found.items()
    ]


def _displayed(amounts: Mapping[str, int]) -> dict[str, Any]:
    return {unit.value: to_display(unit, amounts[measure.name]) for unit, measure in MEASURES.items()}


def _of(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else UsageEventRow.owner == owner


def events(connection: Connection, after: int, limit: int) -> list[dict[str, Any]]:
    """Return events after a sequence number, in the order in which they were written."""
    page = select(UsageEventRow.__table__).where(UsageEventRow.sequence > after).order_by(UsageEventRow.sequence)
    return [
        {
            "sequence": row.sequence,
            "identifier": row.id,
            "event_name": row.kind,
            "timestamp": row.at // 1000,
            "value": row.quantity,
            "owner": row.owner,
            "key_id": row.key_id,
            "job_id": row.job_id,
        }
        for row in connection.execute(page.limit(limit))
    ]


def as_jsonl(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return events as one JSON object per line."""
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def as_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return events as CSV (RFC 4180) with a header line."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, EXPORTED)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
