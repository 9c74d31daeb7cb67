"""The table of users."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from provisioning.gateway.core.database.encryption import Sealed
from provisioning.gateway.core.database.tables import Base


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
