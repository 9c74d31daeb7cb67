"""Request and response bodies of keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from provisioning.gateway.accounts.records import KeyRecord, KeyState
from provisioning.gateway.core.http.schemas import (
    AnswerBody,
    Labels,
    PageQuery,
    RequestBody,
    UserName,
    optional_timestamp,
    timestamp,
)
from provisioning.gateway.core.limit_settings import NOTHING, LimitSettings
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.core.time_units import DAY_SECONDS

MAX_OVERLAP_SECONDS = 30 * DAY_SECONDS

KeyName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
Scopes = Annotated[frozenset[Scope], Field(min_length=1)]


class NewKey(RequestBody):
    """A key to create."""

    name: KeyName
    """What the key is for."""
    scopes: Scopes = frozenset({Scope.CLIENT})
    owner: UserName | None = None
    """The user whose jobs and files the key sees. Default: the caller's user; for an admin, the key itself."""
    expires_at: AwareDatetime | None = None
    limits: LimitSettings = NOTHING
    labels: Labels = Field(default_factory=dict)


class KeyChange(RequestBody):
    """Changes of a key; fields that are left out do not change."""

    # Factories, since a plain default would appear in the reference as the value of a field that is left out.
    name: KeyName = Field(default_factory=str)
    scopes: Scopes = Field(default_factory=frozenset)
    owner: UserName = Field(default_factory=str)
    expires_at: AwareDatetime | None = Field(default_factory=lambda: None)
    """null: the key does not expire."""
    limits: LimitSettings = Field(default_factory=LimitSettings)
    labels: Labels = Field(default_factory=dict)


class Rotation(RequestBody):
    """A new secret for a key."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS)] = DAY_SECONDS
    """How long the old secret is still accepted; 0 refuses it at once."""


class KeyQuery(PageQuery):
    """Which keys to list."""

    owner: str | None = Field(default=None, examples=["discord"])
    """List the keys of this user only."""
    state: KeyState | None = Field(default=None, examples=["active"])
    """List the keys in this state only."""


class Key(AnswerBody):
    """A key without its secret."""

    id: str
    name: str
    hint: str
    """The first and last characters of the secret."""
    state: KeyState
    scopes: list[Scope]
    owner: str
    """The user whose jobs and files the key sees; the key's own id when it has no user."""
    labels: dict[str, str]
    limits: LimitSettings
    managed_by: Literal["gateway", "stack"]
    """`stack`: the Pulumi stack created the key and rotates it."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """Exact while the gateway runs; after a kill up to ten seconds too old."""
    previous_until: datetime | None
    """Until when the secret before the last rotation is accepted."""

    @classmethod
    def of(cls, record: KeyRecord, now: int) -> Key:
        """Return the state of a key at a time in milliseconds since the epoch."""
        return cls(
            id=record.id, name=record.name, hint=record.hint, state=record.state(now), scopes=sorted(record.scopes),
            owner=record.owner, labels=dict(record.labels), limits=record.limits,
            managed_by="stack" if record.seeded else "gateway", created_at=timestamp(record.created_at),
            created_by=record.created_by, expires_at=optional_timestamp(record.expires_at),
            revoked_at=optional_timestamp(record.revoked_at), last_used_at=optional_timestamp(record.last_used_at),
            previous_until=optional_timestamp(record.previous_until),
        )  # fmt: skip


class IssuedKey(Key):
    """A key with its secret, which is shown only once."""

    key: str

    @classmethod
    def issued(cls, secret: str, record: KeyRecord, now: int) -> IssuedKey:
        """Return a key as `Key.of` does, with its secret."""
        return cls(key=secret, **dict(Key.of(record, now)))


class KeyPage(AnswerBody):
    """A page of keys."""

    items: list[Key]
    next_cursor: str | None
    """The `cursor` of the next page; null on the last one."""
