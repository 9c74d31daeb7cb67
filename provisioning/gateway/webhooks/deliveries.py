"""Keeps track of deliveries; every method may raise Problem(STORE_UNAVAILABLE)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, func, insert, select, true, update

from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.webhooks import outbox, records
from provisioning.gateway.webhooks.backoff import Next
from provisioning.gateway.webhooks.event_types import EventType
from provisioning.gateway.webhooks.records import Attempt, Delivery, DeliveryState
from provisioning.gateway.webhooks.sender import Result
from provisioning.gateway.webhooks.tables import AttemptRow, DeliveryRow, EndpointRow, MessageRow

OF_ONE_ENDPOINT = 2
"""Attempts at once: one slow receiver leaves room for all others."""

OF_ALL = 64
"""Largest number of deliveries loaded at once; the rest stays due."""


def _due() -> Select[Any]:
    """Return the statement that finds what is due at `now` and not among the deliveries that are `busy`."""
    order = (DeliveryRow.next_at, DeliveryRow.sequence)
    place = func.row_number().over(partition_by=DeliveryRow.endpoint_id, order_by=order).label("place")
    is_due = and_(DeliveryRow.next_at <= bindparam("now"), DeliveryRow.id.not_in(bindparam("busy", expanding=True)))
    first = select(DeliveryRow.id, place).where(is_due).subquery()
    query = records.DELIVERY.join(first, first.c.id == DeliveryRow.id).where(first.c.place <= OF_ONE_ENDPOINT)
    return query.order_by(*order).limit(OF_ALL)


_DUE = _due()
"""Built once: to build it costs more than to execute it."""


class Deliveries:
    """All deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: int, busy: Collection[str]) -> list[Delivery]:
        """Return deliveries whose next attempt is due, save those under way; of every endpoint the first few.

        So an endpoint with thousands that wait does not hide the others'.
        """
        return await self._select(_DUE, now=now, busy=list(busy))

    async def page(self, owner: str | None, *, before: int, limit: int, endpoint_id: str | None) -> list[Delivery]:
        """Return deliveries whose row comes before another, newest first."""
        one = true() if endpoint_id is None else DeliveryRow.endpoint_id == endpoint_id
        query = records.DELIVERY.where(DeliveryRow.sequence < before, _of(owner), one)
        return await self._select(query.order_by(DeliveryRow.sequence.desc()).limit(limit))

    async def get(self, delivery_id: str, owner: str | None) -> Delivery | None:
        """Return a delivery; None when there is none that `owner` may see."""
        found = await self._select(records.DELIVERY.where(DeliveryRow.id == delivery_id, _of(owner)))
        return found[0] if found else None

    async def find(self, delivery_id: str, owner: str | None) -> Delivery:
        """Return a delivery as `get` does; raises Problem NOT_FOUND where that returns None."""
        found = await self.get(delivery_id, owner)
        if found is None:
            raise Problem(Code.NOT_FOUND)
        return found

    async def attempts(self, delivery: Delivery) -> list[Attempt]:
        """Return what was tried, oldest first."""
        columns = (AttemptRow.at, AttemptRow.status, AttemptRow.error, AttemptRow.duration_ms)
        query = select(*columns).where(AttemptRow.delivery_id == delivery.id).order_by(AttemptRow.sequence)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [Attempt(*row) for row in rows]

    async def count_pending(self) -> int:
        """Return the number of deliveries that wait for an attempt."""
        pending = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.state == DeliveryState.PENDING)
        return await self._database.read(lambda connection: connection.execute(pending).scalar_one())

    async def keep_body(self, message_id: str, body: bytes) -> None:
        """Keep what a message says: every later attempt says the same."""
        statement = update(MessageRow).where(MessageRow.id == message_id, MessageRow.body.is_(None)).values(body=body)
        await self._database.run(lambda connection: connection.execute(statement).rowcount)

    async def attempted(self, delivery: Delivery, result: Result, now: int, then: Next) -> None:
        """Write down an attempt and what follows from it, for the delivery and for its endpoint."""

        def work(connection: Connection) -> None:
            attempt = {"delivery_id": delivery.id, "at": now, "duration_ms": result.duration_ms}
            connection.execute(insert(AttemptRow).values(attempt | {"status": result.status, "error": result.error}))
            ended = None if then.at is not None else now
            values = {"state": then.state, "next_at": then.at, "ended_at": ended, "attempts": delivery.attempts + 1}
            connection.execute(update(DeliveryRow).where(DeliveryRow.id == delivery.id).values(**values))
            if delivery.url is None:
                _judge(connection, delivery.endpoint_id, then, now, taken=result.taken)

        await self._database.run(work)

    async def give_up(self, delivery: Delivery, now: int) -> None:
        """Write down that there will be no further attempt."""
        values = {"state": DeliveryState.FAILED, "next_at": None, "ended_at": now}
        statement = update(DeliveryRow).where(DeliveryRow.id == delivery.id).values(**values)
        await self._database.run(lambda connection: connection.execute(statement).rowcount)

    async def again(self, delivery: Delivery, now: int) -> str:
        """Have the same message go to the same receiver once more; returns the new delivery's id."""
        receiver = (delivery.endpoint_id, delivery.url)
        return await self._database.run(
            lambda connection: outbox.send(connection, delivery.owner, delivery.message_id, receiver, now)
        )

    async def test(self, owner: str, endpoint_id: str, now: int) -> str:
        """Have a message without content sent; returns the delivery's id."""
        return await self._database.run(
            lambda connection: outbox.enqueue(connection, owner, EventType.TEST, None, [(endpoint_id, None)], now)[0]
        )

    async def prune(self, before: int) -> None:
        """Delete messages before a time with their results, except those not delivered yet."""

        def work(connection: Connection) -> None:
            waiting = select(DeliveryRow.message_id).where(DeliveryRow.next_at.is_not(None))
            old = select(MessageRow.id).where(MessageRow.created_at < before, MessageRow.id.not_in(waiting))
            gone = select(DeliveryRow.id).where(DeliveryRow.message_id.in_(old))
            connection.execute(delete(AttemptRow).where(AttemptRow.delivery_id.in_(gone)))
            connection.execute(delete(DeliveryRow).where(DeliveryRow.message_id.in_(old)))
            connection.execute(delete(MessageRow).where(MessageRow.created_at < before, MessageRow.id.not_in(waiting)))

        await self._database.run(work)

    async def _select(self, query: Select[Any], **parameters: object) -> list[Delivery]:
        rows = await self._database.read(lambda connection: connection.execute(query, parameters).all())
        return [records.delivery(row) for row in rows]


def _judge(connection: Connection, endpoint_id: str, then: Next, now: int, *, taken: bool) -> None:
    """Take note of how an endpoint does, and disable it when it has done badly for long."""
    this = update(EndpointRow).where(EndpointRow.id == endpoint_id)
    if taken:
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
