"""Users in the database."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection, Row, select, update

from provisioning.gateway.access import keyrows
from provisioning.gateway.access.records import UserRecord
from provisioning.gateway.access.scopes import Role
from provisioning.gateway.access.tables import UserRow
from provisioning.gateway.storage import statements


def every(connection: Connection) -> list[UserRecord]:
    """Return every user, deleted ones included, oldest first."""
    wanted = select(UserRow.__table__).order_by(UserRow.created_at, UserRow.name)
    return [_from_row(row) for row in connection.execute(wanted)]


def add(connection: Connection, user: UserRecord) -> bool:
    """Store a new user; False when the name is taken, be it by one that was deleted."""
    values = {
        "name": user.name, "role": user.role.value, "password": user.password, "password_at": user.password_at,
        "limits": keyrows.limits_text(user.limits), "labels": orjson.dumps(dict(user.labels)),
        "created_at": user.created_at,
    }  # fmt: skip
    return statements.add_new(connection, UserRow, values)


def change(connection: Connection, name: str, values: dict[str, Any]) -> None:
    """Set columns of a user."""
    connection.execute(update(UserRow).where(UserRow.name == name).values(**values))


def _from_row(row: Row[Any]) -> UserRecord:
    values = row._asdict()
    parsed = {
        "role": Role(values["role"]), "labels": orjson.loads(values["labels"] or b"{}"),
        "limits": keyrows.limits_of(values["limits"]),
    }  # fmt: skip
    return UserRecord(**values | parsed)
