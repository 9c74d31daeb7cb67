"""Stores deliveries and their attempts; every method may raise Problem(STORE_UNAVAILABLE)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, func, insert, select, true, update

from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.webhooks import outbox, records
from provisioning.gateway.webhooks.backoff import NextStep
from provisioning.gateway.webhooks.event_types import EventType
from provisioning.gateway.webhooks.records import AttemptRecord, DeliveryRecord, DeliveryState
from provisioning.gateway.webhooks.sender import AttemptResult
from provisioning.gateway.webhooks.tables import AttemptRow, DeliveryRow, EndpointRow, MessageRow

MAX_PER_ENDPOINT = 2
"""Concurrent attempts per endpoint, so that a slow receiver does not delay the others."""

MAX_LOADED = 64
"""Deliveries loaded at once; the others stay due."""


def _due() -> Select[Any]:
    """Return the statement that selects deliveries due at `now` that are not `busy`."""
    order = (DeliveryRow.next_at, DeliveryRow.sequence)
    place = func.row_number().over(partition_by=DeliveryRow.endpoint_id, order_by=order).label("place")
    is_due = and_(DeliveryRow.next_at <= bindparam("now"), DeliveryRow.id.not_in(bindparam("busy", expanding=True)))
    first = select(DeliveryRow.id, place).where(is_due).subquery()
    query = records.DELIVERY.join(first, first.c.id == DeliveryRow.id).where(first.c.place <= MAX_PER_ENDPOINT)
    return query.order_by(*order).limit(MAX_LOADED)


_DUE = _due()
"""Built once, since building it takes longer than executing it."""


class Deliveries:
    """The deliveries of all owners."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: int, busy: Collection[str]) -> list[DeliveryRecord]:
        """Return due deliveries that are not `busy`, at most MAX_PER_ENDPOINT of each endpoint.

        An endpoint with thousands of due deliveries therefore does not delay the others.
        """
        return await self._select(_DUE, now=now, busy=list(busy))

    async def page(
        self, owner: str | None, *, before: int, limit: int, endpoint_id: str | None
    ) -> list[DeliveryRecord]:
        """Return deliveries with a sequence number below `before`, newest first."""
        one = true() if endpoint_id is None else DeliveryRow.endpoint_id == endpoint_id
        query = records.DELIVERY.where(DeliveryRow.sequence < before, _of(owner), one)
        return await self._select(query.order_by(DeliveryRow.sequence.desc()).limit(limit))

    async def get(self, delivery_id: str, owner: str | None) -> DeliveryRecord | None:
        """Return a delivery; None when it does not exist or `owner` may not see it."""
        found = await self._select(records.DELIVERY.where(DeliveryRow.id == delivery_id, _of(owner)))
        return found[0] if found else None

    async def find(self, delivery_id: str, owner: str | None) -> DeliveryRecord:
        """Return a delivery as `get` does; raises Problem NOT_FOUND where that returns None."""
        found = await self.get(delivery_id, owner)
        if found is None:
            raise Problem(Code.NOT_FOUND)
        return found

    async def attempts(self, delivery: DeliveryRecord) -> list[AttemptRecord]:
        """Return a delivery's attempts, oldest first."""
        columns = (AttemptRow.at, AttemptRow.status, AttemptRow.error, AttemptRow.duration_ms)
        query = select(*columns).where(AttemptRow.delivery_id == delivery.id).order_by(AttemptRow.sequence)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [AttemptRecord(*row) for row in rows]

    async def count_pending(self) -> int:
        """Return the number of deliveries that wait for an attempt."""
        pending = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.state == DeliveryState.PENDING)
        return await self._database.read(lambda connection: connection.execute(pending).scalar_one())

    async def keep_body(self, message_id: str, body: bytes) -> None:
        """Store a message's body, so that all attempts send the same one."""
        statement = update(MessageRow).where(MessageRow.id == message_id, MessageRow.body.is_(None)).values(body=body)
        await self._database.run(lambda connection: connection.execute(statement).rowcount)

    async def attempted(self, delivery: DeliveryRecord, result: AttemptResult, now: int, then: NextStep) -> None:
        """Store an attempt and its consequences for the delivery and for its endpoint."""

        def work(connection: Connection) -> None:
            attempt = {"delivery_id": delivery.id, "at": now, "duration_ms": result.duration_ms}
            connection.execute(insert(AttemptRow).values(attempt | {"status": result.status, "error": result.error}))
            ended = None if then.at is not None else now
            values = {"state": then.state, "next_at": then.at, "ended_at": ended, "attempts": delivery.attempts + 1}
            connection.execute(update(DeliveryRow).where(DeliveryRow.id == delivery.id).values(**values))
            if delivery.url is None:
                _update_health(connection, delivery.endpoint_id, then, now, accepted=result.accepted)

        await self._database.run(work)

    async def give_up(self, delivery: DeliveryRecord, now: int) -> None:
        """Store that the delivery has failed for good."""
        values = {"state": DeliveryState.FAILED, "next_at": None, "ended_at": now}
        statement = update(DeliveryRow).where(DeliveryRow.id == delivery.id).values(**values)
        await self._database.run(lambda connection: connection.execute(statement).rowcount)

    async def redeliver(self, delivery: DeliveryRecord, now: int) -> str:
        """Create a new delivery of the same message to the same receiver; returns its id."""
        receiver = (delivery.endpoint_id, delivery.url)
        return await self._database.run(
            lambda connection: outbox.add_delivery(connection, delivery.owner, delivery.message_id, receiver, now)
        )

    async def test(self, owner: str, endpoint_id: str, now: int) -> str:
        """Create a delivery of a test message; returns its id."""
        return await self._database.run(
            lambda connection: outbox.enqueue(connection, owner, EventType.TEST, None, [(endpoint_id, None)], now)[0]
        )

    async def prune(self, before: int) -> None:
        """Delete messages older than a time with their deliveries, except pending ones."""

        def work(connection: Connection) -> None:
            waiting = select(DeliveryRow.message_id).where(DeliveryRow.next_at.is_not(None))
            old = select(MessageRow.id).where(MessageRow.created_at < before, MessageRow.id.not_in(waiting))
            gone = select(DeliveryRow.id).where(DeliveryRow.message_id.in_(old))
            connection.execute(delete(AttemptRow).where(AttemptRow.delivery_id.in_(gone)))
            connection.execute(delete(DeliveryRow).where(DeliveryRow.message_id.in_(old)))
            connection.execute(delete(MessageRow).where(MessageRow.created_at < before, MessageRow.id.not_in(waiting)))

        await self._database.run(work)

    async def _select(self, query: Select[Any], **parameters: object) -> list[DeliveryRecord]:
        rows = await self._database.read(lambda connection: connection.execute(query, parameters).all())
        return [records.delivery(row) for row in rows]


def _update_health(connection: Connection, endpoint_id: str, then: NextStep, now: int, *, accepted: bool) -> None:
    """Record whether an endpoint is failing, and disable it when it has failed for too long."""
    this = update(EndpointRow).where(EndpointRow.id == endpoint_id)
    if accepted:
        connection.execute(this.where(EndpointRow.failing_since.is_not(None)).values(failing_since=None))
        return
    connection.execute(this.where(EndpointRow.failing_since.is_(None)).values(failing_since=now))
    if then.disable is not None:
        long_failing = this.where(
            EndpointRow.failing_since <= now - then.disable.after_ms, EndpointRow.disabled_at.is_(None)
        )
        connection.execute(long_failing.values(disabled_at=now, disabled_reason=then.disable.reason))


def _of(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else DeliveryRow.owner == owner
