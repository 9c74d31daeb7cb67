"""Request and response bodies of users."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from provisioning.gateway.accounts.records import UserRecord
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.schemas import (
    AnswerBody,
    Labels,
    RequestBody,
    UserName,
    optional_timestamp,
    timestamp,
)
from provisioning.gateway.core.limit_settings import NOTHING, LimitSettings
from provisioning.gateway.core.passwords import AnyPassword, NewPassword
from provisioning.gateway.core.scopes import ROLES, Role, Scope


class NewUser(RequestBody):
    """A user to create."""

    name: UserName
    role: Role = Role.MEMBER
    password: NewPassword | None = None
    """Without a password, the user can only use keys."""
    limits: LimitSettings = NOTHING
    labels: Labels = Field(default_factory=dict)


class UserChange(RequestBody):
    """Changes of a user; fields that are left out do not change."""

    # Factories, since a plain default would appear in the reference as the value of a field that is left out.
    role: Role = Field(default_factory=lambda: Role.VIEWER)
    password: NewPassword | None = Field(default_factory=lambda: None)
    """null removes the password."""
    disabled: bool = Field(default_factory=bool)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    labels: Labels = Field(default_factory=dict)


class PasswordChange(RequestBody):
    """A new password for the caller."""

    current: AnyPassword
    new: NewPassword


class User(AnswerBody):
    """A user."""

    name: str
    role: Role
    scopes: list[Scope]
    """The scopes that the user's role allows."""
    has_password: bool
    disabled: bool
    labels: dict[str, str]
    limits: LimitSettings
    created_at: datetime

    @classmethod
    def of(cls, record: UserRecord) -> User:
        """Return a stored user."""
        return cls(
            name=record.name, role=record.role, scopes=sorted(ROLES[record.role]),
            has_password=record.password is not None, disabled=record.disabled_at is not None,
            labels=dict(record.labels), limits=record.limits, created_at=timestamp(record.created_at),
        )  # fmt: skip


class Me(AnswerBody):
    """The caller."""

    key_id: str
    name: str
    owner: str
    scopes: list[Scope]
    is_person: bool
    expires_at: datetime | None
    limits: LimitSettings
    """The limits of this key, with the gateway's defaults."""
    user_limits: LimitSettings
    """The limits of all keys of the user together, with the gateway's defaults."""

    @classmethod
    def of(cls, actor: Actor, limits: LimitSettings, user_limits: LimitSettings) -> Me:
        """Return a caller with the limits of its key and of its user."""
        return cls(
            key_id=actor.key_id, name=actor.name, owner=actor.owner, scopes=sorted(actor.scopes),
            is_person=actor.key_id.startswith("user:"), expires_at=optional_timestamp(actor.expires_at),
            limits=limits, user_limits=user_limits,
        )  # fmt: skip


class UserPage(AnswerBody):
    """A page of users."""

    items: list[User]
    next_cursor: str | None
    """The `cursor` of the next page; null on the last one."""
