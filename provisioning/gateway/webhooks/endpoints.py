"""Stores webhook endpoints; every method may raise Problem(STORE_UNAVAILABLE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, true, update

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.webhooks import outbox, records, signing
from provisioning.gateway.webhooks.records import EndpointRecord
from provisioning.gateway.webhooks.schemas import JOB_EVENTS
from provisioning.gateway.webhooks.tables import EndpointRow

ENABLED: Mapping[str, Any] = {"disabled_at": None, "disabled_reason": None, "failing_since": None}


class Endpoints:
    """The endpoints of all owners."""

    def __init__(self, database: Database, clock: Clock, max_per_owner: int) -> None:
        """`max_per_owner`: how many endpoints an owner may have."""
        self._database = database
        self._clock = clock
        self._max_per_owner = max_per_owner

    async def create(self, owner: str, url: str, types: Sequence[str], description: str) -> EndpointRecord:
        """Store a new endpoint with a new secret; raises Problem when the owner has too many."""
        now = self._clock.now_ms()
        made = EndpointRecord(
            outbox.new_id("whe"), owner, url, description, tuple(types), signing.mint(), created_at=now
        )

        def work(connection: Connection) -> None:
            own = select(func.count()).where(EndpointRow.owner == owner, EndpointRow.url.is_not(None))
            if connection.execute(own).scalar_one() >= self._max_per_owner:
                raise Problem(Code.TOO_MANY_WEBHOOKS, f"This user has {self._max_per_owner} webhooks, the maximum.")
            values = {
                name: getattr(made, name) for name in ("id", "owner", "url", "description", "secret", "created_at")
            }
            connection.execute(insert(EndpointRow).values(values | {"types": orjson.dumps(types).decode()}))

        await self._database.run(work)
        return made

    async def list_visible(self, owner: str | None) -> list[EndpointRecord]:
        """Return an owner's endpoints, or all endpoints for None, oldest first."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                records.ENDPOINT.where(_of(owner)).order_by(EndpointRow.sequence)
            ).all()
        )
        return [records.endpoint(row) for row in rows]

    async def get(self, endpoint_id: str, owner: str | None) -> EndpointRecord | None:
        """Return an endpoint; None when it does not exist or `owner` may not see it."""
        query = records.ENDPOINT.where(EndpointRow.id == endpoint_id, _of(owner))
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else records.endpoint(row)

    async def change(self, endpoint: EndpointRecord, members: Mapping[str, Any]) -> None:
        """Set the fields of a ChangeWebhook."""
        await self._update(endpoint, _columns(members, self._clock.now_ms()))

    async def _update(self, endpoint: EndpointRecord, columns: Mapping[str, Any]) -> None:
        statement = update(EndpointRow).where(EndpointRow.id == endpoint.id).values(**columns)
        await self._database.run(lambda connection: connection.execute(statement).rowcount)

    async def rotate(self, endpoint: EndpointRecord, overlap_ms: int) -> None:
        """Give an endpoint a new secret; for `overlap_ms` messages are signed with the old one as well."""
        secret, until = signing.mint(), self._clock.now_ms() + overlap_ms
        changes = {"secret": secret, "former_secret": endpoint.secret, "former_until": until}
        await self._update(endpoint, changes if overlap_ms else changes | {"former_secret": None, "former_until": None})

    async def signer(self, owner: str) -> EndpointRecord:
        """Return the endpoint whose secret signs for an owner's single jobs; creates it if necessary."""
        now = self._clock.now_ms()
        endpoint_id = await self._database.run(lambda connection: outbox.signer(connection, owner, now))
        found = await self.get(endpoint_id, owner)
        if found is None:
            raise Problem(Code.STORE_UNAVAILABLE)
        return found

    async def delete(self, endpoint: EndpointRecord) -> None:
        """Delete an endpoint; its pending deliveries fail at their next attempt."""
        statement = delete(EndpointRow).where(EndpointRow.id == endpoint.id)
        await self._database.run(lambda connection: connection.execute(statement).rowcount)


def _columns(members: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Return the columns for the fields of a ChangeWebhook."""
    columns = {name: members[name] for name in ("url",) if name in members}
    if "events" in members:
        columns["types"] = orjson.dumps(members["events"] or JOB_EVENTS).decode()
    if "description" in members:
        columns["description"] = members["description"] or ""
    if "enabled" in members:
        columns |= ENABLED if members["enabled"] else {"disabled_at": now, "disabled_reason": "by its owner"}
    return columns


def _of(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else EndpointRow.owner == owner
