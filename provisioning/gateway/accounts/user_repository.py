"""Reads and writes users in the database."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection, Row, select, update

from provisioning.gateway.accounts import key_repository
from provisioning.gateway.accounts.records import UserRecord
from provisioning.gateway.accounts.user_tables import UserRow
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.scopes import Role


def list_users(connection: Connection) -> list[UserRecord]:
    """Return all users, deleted ones included, oldest first."""
    wanted = select(UserRow.__table__).order_by(UserRow.created_at, UserRow.name)
    return [_from_row(row) for row in connection.execute(wanted)]


def add(connection: Connection, user: UserRecord) -> bool:
    """Store a new user; False when the name is in use or was a deleted user's."""
    values = {
        "name": user.name, "role": user.role.value, "password": user.password, "password_at": user.password_at,
        "limits": key_repository.limits_text(user.limits), "labels": orjson.dumps(dict(user.labels)),
        "created_at": user.created_at,
    }  # fmt: skip
    return sql_helpers.add_new(connection, UserRow, values)


def change(connection: Connection, name: str, values: dict[str, Any]) -> None:
    """Set columns of a user."""
    connection.execute(update(UserRow).where(UserRow.name == name).values(**values))


def _from_row(row: Row[Any]) -> UserRecord:
    values = row._asdict()
    parsed = {
        "role": Role(values["role"]), "labels": orjson.loads(values["labels"] or b"{}"),
        "limits": key_repository.parse_limits(values["limits"]),
    }  # fmt: skip
    return UserRecord(**values | parsed)
