"""Logins in the database."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, or_, select, update

from provisioning.gateway.accounts.records import SessionRecord
from provisioning.gateway.accounts.session_tables import SessionRow
from provisioning.gateway.core.database.tables import KeyRow
from provisioning.gateway.core.time_units import DAY_MS

KEPT_MS = 30 * DAY_MS
"""How long a login that is over can still be looked up beside the audit log."""


def add(connection: Connection, session: SessionRecord, now: int) -> None:
    """Write a login down, and forget those that were over long ago."""
    connection.execute(delete(SessionRow).where(SessionRow.expires_at < now - KEPT_MS))
    connection.execute(insert(SessionRow).values(**asdict(session)))


def end(connection: Connection, session_id: str, now: int) -> None:
    """End a login."""
    connection.execute(update(SessionRow).where(SessionRow.id == session_id).values(ended_at=now))


def end_all_of(connection: Connection, user: str, now: int) -> None:
    """End every login of a user and of its keys."""
    its_keys = select(KeyRow.id).where(KeyRow.owner == user)
    whose = or_(SessionRow.user == user, SessionRow.key_id.in_(its_keys))
    connection.execute(update(SessionRow).where(whose, SessionRow.ended_at.is_(None)).values(ended_at=now))


def list_active(connection: Connection, now: int) -> list[SessionRecord]:
    """Return every login that has not ended."""
    wanted = select(SessionRow.__table__).where(SessionRow.ended_at.is_(None), SessionRow.expires_at > now)
    return [SessionRecord(**row._asdict()) for row in connection.execute(wanted)]
