"""People, their logins, spent tickets and the audit log."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.gateway.storage.sealing import Sealed
from provisioning.gateway.storage.tables import Base, Sequence


class UserRow(Base):
    """A person, or whatever else keys belong to; no name is given twice, so that jobs stay whose they are."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    password: Mapped[str | None]
    """Argon2's own text; without one nobody can log in by password."""
    password_at: Mapped[int | None]
    """When it was set: logins from before are over."""
    limits: Mapped[str] = mapped_column(server_default="{}")
    labels: Mapped[bytes | None] = mapped_column(Sealed("users.labels"))
    created_at: Mapped[int]
    disabled_at: Mapped[int | None]
    deleted_at: Mapped[int | None]


class SessionRow(Base):
    """A login, of a person or of a key at the login page."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str | None]
    key_id: Mapped[str | None]
    proof: Mapped[bytes | None]
    """The digest of the key that was shown: once it is accepted no more, neither is this."""
    digest: Mapped[bytes]
    """Of the cookie's secret."""
    address: Mapped[str]
    created_at: Mapped[int]
    expires_at: Mapped[int]
    ended_at: Mapped[int | None]


class SpentTicketRow(Base):
    """A ticket that was used."""

    __tablename__ = "spent_tickets"

    id: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[int]


class AuditRow(Base):
    """An act that changed who may do what; the database itself refuses to change or delete one."""

    __tablename__ = "audit"

    sequence: Mapped[Sequence]
    at: Mapped[int]
    actor: Mapped[str]
    key_id: Mapped[str]
    act: Mapped[str]
    target: Mapped[str]
    address: Mapped[str]
    request_id: Mapped[str]
    detail: Mapped[bytes] = mapped_column(Sealed("audit.detail"))
    """A JSON object without secrets."""


Index("sessions_by_end", SessionRow.expires_at)
Index("spent_tickets_by_end", SpentTicketRow.expires_at)
Index("audit_by_target", AuditRow.target, AuditRow.sequence)
