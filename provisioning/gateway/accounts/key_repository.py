"""Reads and writes keys in the database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select, update

from provisioning.gateway.accounts.records import KeyRecord
from provisioning.gateway.core.database.tables import KeyRow
from provisioning.gateway.core.limit_settings import NOTHING, LimitSettings
from provisioning.gateway.core.scopes import Scope


def list_keys(connection: Connection) -> list[KeyRecord]:
    """Return all keys, revoked ones included, oldest first."""
    rows = connection.execute(select(KeyRow.__table__).order_by(KeyRow.created_at, KeyRow.id))
    return [_from_row(row) for row in rows]


def add(connection: Connection, record: KeyRecord) -> None:
    """Store a new key."""
    values = {field.name: getattr(record, field.name) for field in fields(KeyRecord)}
    connection.execute(insert(KeyRow).values(**values | _texts(record)))


def change(connection: Connection, before: KeyRecord, values: dict[str, Any]) -> bool:
    """Set columns of a key; False when it was revoked or rotated in the meantime."""
    unchanged = update(KeyRow).where(
        KeyRow.id == before.id, KeyRow.digest == before.digest, KeyRow.revoked_at.is_(None)
    )
    return connection.execute(unchanged.values(**values)).rowcount == 1


def revoke(connection: Connection, key_id: str, now: int) -> bool:
    """Revoke a key; returns False when it was revoked before or does not exist."""
    unrevoked = update(KeyRow).where(KeyRow.id == key_id, KeyRow.revoked_at.is_(None))
    return connection.execute(unrevoked.values(revoked_at=now)).rowcount == 1


def revoke_all_of(connection: Connection, owner: str, now: int) -> None:
    """Revoke all keys of a user."""
    unrevoked = update(KeyRow).where(KeyRow.owner == owner, KeyRow.revoked_at.is_(None))
    connection.execute(unrevoked.values(revoked_at=now))


def seed(connection: Connection, record: KeyRecord, now: int) -> None:
    """Store a key of the stack, and revoke the stack's earlier key of the same name.

    A revoked key stays revoked.
    """
    # Names may be encrypted, so the database cannot search for them.
    for row in connection.execute(select(KeyRow.id, KeyRow.name).where(KeyRow.seeded, KeyRow.revoked_at.is_(None))):
        if row.name == record.name and row.id != record.id:
            revoke(connection, row.id, now)
    # The stack's settings win: the same key may have another pepper or other scopes now.
    known = update(KeyRow).where(KeyRow.id == record.id)
    values = {"digest": record.digest, "scopes": scopes_text(record.scopes), "hint": record.hint}
    if connection.execute(known.values(**values)).rowcount == 0:
        add(connection, record)


def record_use(connection: Connection, times: Iterable[tuple[str, int]]) -> None:
    """Store when keys were last used."""
    for key_id, at in times:
        connection.execute(update(KeyRow).where(KeyRow.id == key_id).values(last_used_at=at))


def scopes_text(scopes: Iterable[Scope]) -> str:
    """Return scopes in their stored form, a JSON list."""
    return json.dumps(sorted(scopes))


def limits_text(limits: LimitSettings) -> str:
    """Return limits in their stored form, a JSON object."""
    return limits.model_dump_json(exclude_unset=True)


def parse_limits(text: str) -> LimitSettings:
    """Return limits from their stored form."""
    return NOTHING if text == "{}" else LimitSettings.model_validate_json(text)


def _texts(record: KeyRecord) -> dict[str, Any]:
    labels = orjson.dumps(dict(record.labels))
    return {"scopes": scopes_text(record.scopes), "limits": limits_text(record.limits), "labels": labels}


def _from_row(row: Row[Any]) -> KeyRecord:
    values = row._asdict()
    parsed = {
        "scopes": frozenset(Scope(scope) for scope in json.loads(values["scopes"])),
        "created_by": values["created_by"] or "", "hint": values["hint"] or "",
        "limits": parse_limits(values["limits"]), "labels": orjson.loads(values["labels"] or b"{}"),
    }  # fmt: skip
    return KeyRecord(**values | parsed)
