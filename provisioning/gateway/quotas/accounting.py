"""Quotas and usage as the rest of the gateway asks for them."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.allowance import Period, Unit
from provisioning.gateway.clock import Clock
from provisioning.gateway.options import Options
from provisioning.gateway.problems import Problem
from provisioning.gateway.quotas import book, ceilings, usage
from provisioning.gateway.quotas.amounts import Amounts
from provisioning.gateway.quotas.ceilings import Ceiling
from provisioning.gateway.quotas.claim import Account, Claim
from provisioning.gateway.quotas.jobs import RESERVATION_MS
from provisioning.gateway.quotas.reconcile import reconcile
from provisioning.gateway.quotas.state import state
from provisioning.gateway.storage.database import Database

RECONCILE_SECONDS = 300.0

UPLOAD_MS = 3_600_000
"""How long what is set aside for an upload is held when nobody gives it back; none takes so long."""


@dataclass
class Stored:
    """What became of an upload."""

    size: int = 0
    """Bytes that were kept."""


class Accounting:
    """Shows quotas and usage, counts uploads, and sets right what a kill left."""

    def __init__(self, database: Database, clock: Clock, options: Options) -> None:
        self._database = database
        self._clock = clock
        self._options = options

    def ceilings(self, actor: Actor) -> tuple[Ceiling, ...]:
        """Return every quota that holds for a caller."""
        return ceilings.of_actor(self._options, actor)

    async def state(self, actor: Actor) -> list[dict[str, Any]]:
        """Return how each of a caller's quotas stands. Raises Problem."""
        show = partial(state, account=self._account(actor), ceilings=self.ceilings(actor))
        return await self._database.read(show)

    async def by_period(self, owner: str | None, since: int, period: Period) -> list[dict[str, Any]]:
        """Return what was taken since a time, by day or month; by everybody for no owner. Raises Problem."""
        return await self._database.read(partial(usage.by_period, owner=owner, since=since, period=period))

    async def events(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Return usage events, the oldest first, from after a sequence number on. Raises Problem."""
        return await self._database.read(partial(usage.events, after=after, limit=limit))

    @contextlib.asynccontextmanager
    async def upload(self, actor: Actor, size: int) -> AsyncIterator[Stored]:
        """Set bytes aside while a file is stored, and count what the block says was kept; none when it fails.

        Raises Problem QUOTA_EXCEEDED, and STORE_UNAVAILABLE.
        """
        stored, account, upload_id = Stored(), self._account(actor), str(uuid.uuid4())
        own = tuple(ceiling for ceiling in self.ceilings(actor) if ceiling.unit is Unit.BYTES)
        if own:
            claim = Claim(upload_id, account, Amounts(bytes=size), own, account.at + UPLOAD_MS)
            await self._database.run(partial(book.reserve, claim=claim))
        try:
            yield stored
        finally:
            if own or stored.size:
                # Shielded: a client that hangs up gives nothing back by that.
                await asyncio.shield(self._database.run(partial(self._close, upload_id, account, stored.size)))

    def _close(self, upload_id: str, account: Account, size: int, connection: Connection) -> None:
        if size:
            book.settle(connection, upload_id, account, Amounts(bytes=size), self._clock.now_ms())
        else:
            book.release(connection, upload_id)

    async def reconcile(self) -> int:
        """Release what is set aside for nothing, and correct sums; returns how many were wrong. Raises Problem."""
        now = self._clock.now_ms()
        return await self._database.run(partial(reconcile, now=now, renewed_until=now + RESERVATION_MS))

    async def run(self) -> None:
        """Reconcile now and then, until cancelled."""
        while True:
            with contextlib.suppress(Problem):
                await self.reconcile()
            await asyncio.sleep(RECONCILE_SECONDS)

    def _account(self, actor: Actor) -> Account:
        return Account(actor.owner, actor.key_id, self._clock.now_ms())
