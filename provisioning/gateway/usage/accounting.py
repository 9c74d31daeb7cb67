"""Quotas and usage of callers, and the accounting of uploads."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from provisioning.contract.gateway_options import Options, Period, Unit
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.core.time_units import HOUR_MS
from provisioning.gateway.usage import ledger, quotas
from provisioning.gateway.usage import queries as usage_queries
from provisioning.gateway.usage.overview import quota_states
from provisioning.gateway.usage.quotas import Quota
from provisioning.gateway.usage.reconcile import reconcile
from provisioning.gateway.usage.reservation import RESERVATION_MS, BillingSubject, Reservation
from provisioning.gateway.usage.schemas import PeriodUsage, QuotaState
from provisioning.gateway.usage.units import Amounts

RECONCILE_SECONDS = 300.0

UPLOAD_MS = HOUR_MS
"""How long an upload's reservation lasts if it is not released; no upload takes this long."""


@dataclass
class StoredUpload:
    """The result of an upload."""

    size: int = 0
    """Bytes that were stored."""


class Accounting:
    """Shows quotas and usage, counts uploads, and reconciles reservations after a kill."""

    def __init__(self, database: Database, clock: Clock, options: Options) -> None:
        self._database = database
        self._clock = clock
        self._options = options

    def quotas_of(self, actor: Actor) -> tuple[Quota, ...]:
        """Return all quotas of a caller."""
        return quotas.quotas_of(self._options, actor)

    async def quota_states(self, actor: Actor) -> list[QuotaState]:
        """Return all quotas of a caller with their balances. Raises Problem."""
        show = partial(quota_states, account=self._account(actor), quotas=self.quotas_of(actor))
        return await self._database.read(show)

    async def by_period(self, owner: str | None, since: int, period: Period) -> list[PeriodUsage]:
        """Return an owner's usage, or everybody's for None, since a time, by day or month. Raises Problem."""
        return await self._database.read(partial(usage_queries.by_period, owner=owner, since=since, period=period))

    async def events(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Return usage events after a sequence number, oldest first. Raises Problem."""
        return await self._database.read(partial(usage_queries.events, after=after, limit=limit))

    @contextlib.asynccontextmanager
    async def upload(self, actor: Actor, size: int) -> AsyncIterator[StoredUpload]:
        """Reserve bytes while a file is stored, and count the bytes that the block reports; none when it fails.

        Raises Problem QUOTA_EXCEEDED, and STORE_UNAVAILABLE.
        """
        stored, account, upload_id = StoredUpload(), self._account(actor), str(uuid.uuid4())
        own = tuple(quota for quota in self.quotas_of(actor) if quota.unit is Unit.BYTES)
        if own:
            reservation = Reservation(upload_id, account, Amounts(bytes=size), own, account.at + UPLOAD_MS)
            await self._database.run(partial(ledger.reserve, reservation=reservation))
        try:
            yield stored
        finally:
            if own or stored.size:
                # Shielded, so that a disconnect does not cancel it.
                await asyncio.shield(self._database.run(partial(self._close, upload_id, account, stored.size)))

    def _close(self, upload_id: str, account: BillingSubject, size: int, connection: Connection) -> None:
        if size:
            ledger.settle(connection, upload_id, account, Amounts(bytes=size), self._clock.now_ms())
        else:
            ledger.release(connection, upload_id)

    async def reconcile(self) -> int:
        """Release expired reservations and correct the sums; returns how many were wrong. Raises Problem."""
        now = self._clock.now_ms()
        return await self._database.run(partial(reconcile, now=now, renewed_until=now + RESERVATION_MS))

    async def run(self) -> None:
        """Reconcile every RECONCILE_SECONDS until cancelled."""
        while True:
            with contextlib.suppress(Problem):
                await self.reconcile()
            await asyncio.sleep(RECONCILE_SECONDS)

    def _account(self, actor: Actor) -> BillingSubject:
        return BillingSubject(actor.owner, actor.key_id, self._clock.now_ms())
