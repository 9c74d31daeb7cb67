"""The tables of sessions and of spent tickets."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.gateway.core.database.tables import Base


class SessionRow(Base):
    """A session: a login of a person, or of a key at the login page."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str | None]
    key_id: Mapped[str | None]
    proof: Mapped[bytes | None]
    """The digest of the key used to log in: the session is invalid once the key's secret is no longer accepted."""
    digest: Mapped[bytes]
    """The digest of the cookie's secret."""
    address: Mapped[str]
    created_at: Mapped[int]
    expires_at: Mapped[int]
    ended_at: Mapped[int | None]


class SpentTicketRow(Base):
    """A used ticket."""

    __tablename__ = "spent_tickets"

    id: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[int]


Index("sessions_by_end", SessionRow.expires_at)
Index("spent_tickets_by_end", SpentTicketRow.expires_at)
