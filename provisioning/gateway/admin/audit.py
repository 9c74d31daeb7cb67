"""The audit log of changes to access and to other users' resources; an entry is written in the change's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from provisioning.gateway.admin.tables import AuditRow
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.database.database import Database


class AuditAction(StrEnum):
    """A recorded action."""

    KEY_CREATED = "key.created"
    KEY_UPDATED = "key.updated"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    USER_CREATED = "user.created"
    USER_UPDATED = "user.updated"
    USER_DELETED = "user.deleted"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - a name, not one
    LOGGED_IN = "session.opened"
    LOGGED_OUT = "session.ended"
    MEMORY_FREED = "machine.memory_freed"
    WORKSPACE_CHANGED = "workspace.changed"
    JOBS_ENDED = "jobs.ended"
    """This action and those below are recorded when the resource is another user's."""
    HISTORY_CLEARED = "history.cleared"
    ASSET_DELETED = "asset.deleted"
    BATCH_CANCELLED = "batch.cancelled"
    WEBHOOK_UPDATED = "webhook.updated"
    WEBHOOK_ROTATED = "webhook.rotated"
    WEBHOOK_TESTED = "webhook.tested"
    WEBHOOK_DELETED = "webhook.deleted"
    REDELIVERED = "webhook.redelivered"


@dataclass(frozen=True)
class AuditContext:
    """The actor of a change, with its address and request id."""

    actor: Actor
    address: str
    request_id: str


@dataclass(frozen=True)
class AuditRecord:
    """One entry of the log."""

    sequence: int
    at: int
    actor: str
    key_id: str
    act: str
    target: str
    address: str
    request_id: str
    detail: Mapping[str, Any]


def write(
    connection: Connection, by: AuditContext, act: AuditAction, target: str, at: int, detail: Mapping[str, Any]
) -> None:
    """Write an entry in the transaction of the change; `detail` must not contain secrets."""
    connection.execute(
        insert(AuditRow).values(
            at=at, actor=by.actor.name, key_id=by.actor.key_id, act=act.value, target=target, address=by.address,
            request_id=by.request_id, detail=orjson.dumps(detail, default=str),
        )
    )  # fmt: skip


async def note(
    database: Database, by: AuditContext, act: AuditAction, target: str, at: int, detail: Mapping[str, Any]
) -> None:
    """Write an entry about a change outside the database; raises Problem(STORE_UNAVAILABLE)."""
    await database.run(lambda connection: write(connection, by, act, target, at, detail))


async def page(database: Database, *, before: int | None, limit: int, target: str | None) -> list[AuditRecord]:
    """Return entries, newest first, with a sequence number below `before`; raises Problem(STORE_UNAVAILABLE)."""
    query = select(AuditRow.__table__).order_by(AuditRow.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditRow.sequence < before)
    if target is not None:
        query = query.where(AuditRow.target == target)
    rows = await database.read(lambda connection: connection.execute(query).all())
    return [AuditRecord(**row._asdict() | {"detail": orjson.loads(row.detail)}) for row in rows]
