"""The table of users."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from provisioning.gateway.core.database.encryption import Sealed
from provisioning.gateway.core.database.tables import Base


class UserRow(Base):
    """A person or a program that owns keys. Names are never reused, so that jobs keep their owner."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    password: Mapped[str | None]
    """The hash in Argon2's encoded form; without it, the user cannot log in with a password."""
    password_at: Mapped[int | None]
    """When the password was set; earlier sessions are invalid."""
    limits: Mapped[str] = mapped_column(server_default="{}")
    labels: Mapped[bytes | None] = mapped_column(Sealed("users.labels"))
    created_at: Mapped[int]
    disabled_at: Mapped[int | None]
    deleted_at: Mapped[int | None]
