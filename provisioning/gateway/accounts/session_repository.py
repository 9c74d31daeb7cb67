"""Reads and writes sessions in the database."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, or_, select, update

from provisioning.gateway.accounts.records import SessionRecord
from provisioning.gateway.accounts.session_tables import SessionRow
from provisioning.gateway.core.database.tables import KeyRow
from provisioning.gateway.core.time_units import DAY_MS

KEPT_MS = 30 * DAY_MS
"""How long expired sessions are kept, to be looked up beside the audit log."""


def add(connection: Connection, session: SessionRecord, now: int) -> None:
    """Store a session, and delete those that expired more than KEPT_MS ago."""
    connection.execute(delete(SessionRow).where(SessionRow.expires_at < now - KEPT_MS))
    connection.execute(insert(SessionRow).values(**asdict(session)))


def end(connection: Connection, session_id: str, now: int) -> None:
    """End a session."""
    connection.execute(update(SessionRow).where(SessionRow.id == session_id).values(ended_at=now))


def end_all_of(connection: Connection, user: str, now: int) -> None:
    """End all sessions of a user and of the user's keys."""
    user_keys = select(KeyRow.id).where(KeyRow.owner == user)
    of_user = or_(SessionRow.user == user, SessionRow.key_id.in_(user_keys))
    connection.execute(update(SessionRow).where(of_user, SessionRow.ended_at.is_(None)).values(ended_at=now))


def list_active(connection: Connection, now: int) -> list[SessionRecord]:
    """Return all sessions that have neither ended nor expired."""
    wanted = select(SessionRow.__table__).where(SessionRow.ended_at.is_(None), SessionRow.expires_at > now)
    return [SessionRecord(**row._asdict()) for row in connection.execute(wanted)]
