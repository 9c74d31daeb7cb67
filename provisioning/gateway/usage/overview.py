"""A caller's quotas with their balances."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from provisioning.gateway.usage import balance
from provisioning.gateway.usage.balance import Balance
from provisioning.gateway.usage.calendar import Window
from provisioning.gateway.usage.quotas import Quota
from provisioning.gateway.usage.reservation import BillingSubject
from provisioning.gateway.usage.schemas import QuotaState
from provisioning.gateway.usage.units import of_unit, to_display


def quota_states(connection: Connection, account: BillingSubject, quotas: Sequence[Quota]) -> list[QuotaState]:
    """Return quotas with their balances at the account's time."""
    balances = balance.read(connection, account.windows())
    keys = {(key.subject, key.window.period): key for key in balances}
    states = []
    for quota in quotas:
        key = keys[quota.subject, quota.period]
        states.append(_state(quota, balances[key] or Balance(), key.window))
    return states


def _state(quota: Quota, now: Balance, window: Window) -> QuotaState:
    unit = quota.unit
    return QuotaState(
        name=quota.name,
        subject=quota.subject,
        unit=unit,
        period=quota.period,
        limit=to_display(unit, quota.limit),
        used=to_display(unit, of_unit(now.used, unit)),
        reserved=to_display(unit, of_unit(now.reserved, unit)),
        remaining=to_display(unit, max(0, now.remaining(unit, quota.limit))),
        starts_at=window.start,
        ends_at=window.end,
    )
