"""Keys in the database."""

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
    """Return every key that was ever issued, oldest first."""
    rows = connection.execute(select(KeyRow.__table__).order_by(KeyRow.created_at, KeyRow.id))
    return [_from_row(row) for row in rows]


def add(connection: Connection, record: KeyRecord) -> None:
    """Store a new key."""
    values = {field.name: getattr(record, field.name) for field in fields(KeyRecord)}
    connection.execute(insert(KeyRow).values(**values | _texts(record)))


def change(connection: Connection, before: KeyRecord, values: dict[str, Any]) -> bool:
    """Set columns of a living key; False when it was revoked or got another secret meanwhile."""
    same = update(KeyRow).where(KeyRow.id == before.id, KeyRow.digest == before.digest, KeyRow.revoked_at.is_(None))
    return connection.execute(same.values(**values)).rowcount == 1


def revoke(connection: Connection, key_id: str, now: int) -> bool:
    """Mark a living key as revoked; returns whether there was one."""
    living = update(KeyRow).where(KeyRow.id == key_id, KeyRow.revoked_at.is_(None))
    return connection.execute(living.values(revoked_at=now)).rowcount == 1


def revoke_all_of(connection: Connection, owner: str, now: int) -> None:
    """Mark every living key of a user as revoked."""
    living = update(KeyRow).where(KeyRow.owner == owner, KeyRow.revoked_at.is_(None))
    connection.execute(living.values(revoked_at=now))


def seed(connection: Connection, record: KeyRecord, now: int) -> None:
    """Make a key of the stack's known, and revoke the one of that name which it follows.

    One that was revoked stays revoked.
    """
    # Names may be sealed, so the database cannot search for them.
    for row in connection.execute(select(KeyRow.id, KeyRow.name).where(KeyRow.seeded, KeyRow.revoked_at.is_(None))):
        if row.name == record.name and row.id != record.id:
            revoke(connection, row.id, now)
    # The same key under a new pepper, or with other scopes: the settings are right.
    known = update(KeyRow).where(KeyRow.id == record.id)
    values = {"digest": record.digest, "scopes": scopes_text(record.scopes), "hint": record.hint}
    if connection.execute(known.values(**values)).rowcount == 0:
        add(connection, record)


def used(connection: Connection, times: Iterable[tuple[str, int]]) -> None:
    """Write down when keys were last used."""
    for key_id, at in times:
        connection.execute(update(KeyRow).where(KeyRow.id == key_id).values(last_used_at=at))


def scopes_text(scopes: Iterable[Scope]) -> str:
    """Return scopes as they are stored: a JSON list."""
    return json.dumps(sorted(scopes))


def limits_text(limits: LimitSettings) -> str:
    """Return limits as they are stored: a JSON object."""
    return limits.model_dump_json(exclude_unset=True)


def limits_of(text: str) -> LimitSettings:
    """Return stored limits."""
    return NOTHING if text == "{}" else LimitSettings.model_validate_json(text)


def _texts(record: KeyRecord) -> dict[str, Any]:
    labels = orjson.dumps(dict(record.labels))
    return {"scopes": scopes_text(record.scopes), "limits": limits_text(record.limits), "labels": labels}


def _from_row(row: Row[Any]) -> KeyRecord:
    values = row._asdict()
    parsed = {
        "scopes": frozenset(Scope(scope) for scope in json.loads(values["scopes"])),
        "created_by": values["created_by"] or "", "hint": values["hint"] or "",
        "limits": limits_of(values["limits"]), "labels": orjson.loads(values["labels"] or b"{}"),
    }  # fmt: skip
    return KeyRecord(**values | parsed)
