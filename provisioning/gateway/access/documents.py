"""Keys, users, logins and the audit log as clients see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.allowance import Allowance
from provisioning.gateway.access.audit import Entry
from provisioning.gateway.access.records import KeyRecord, KeyState, UserRecord
from provisioning.gateway.access.scopes import ROLES, Role, Scope


class Document(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True)


class Key(Document):
    """A key, without its secret."""

    id: str
    name: str
    hint: str
    """The first and last characters of the secret."""
    state: KeyState
    scopes: list[Scope]
    owner: str
    """The user whose jobs and files it sees; its own id when it stands alone."""
    labels: dict[str, str]
    limits: Allowance
    managed_by: Literal["gateway", "stack"]
    """The stack's are rotated there."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """Exact while the gateway runs; up to ten seconds old after it was killed."""
    previous_until: datetime | None
    """How long the secret before the last rotation opens as well."""


class IssuedKey(Key):
    """A key with its secret, which is shown this once."""

    key: str


class KeyPage(Document):
    """Some keys."""

    items: list[Key]
    next_cursor: str | None
    """What `cursor` takes for the next page; null on the last one."""


class User(Document):
    """A user."""

    name: str
    role: Role
    scopes: list[Scope]
    """What it, and its keys, may do at most."""
    has_password: bool
    disabled: bool
    labels: dict[str, str]
    limits: Allowance
    created_at: datetime


class UserPage(Document):
    """Some users."""

    items: list[User]
    next_cursor: str | None
    """What `cursor` takes for the next page; null on the last one."""


class Me(Document):
    """The caller."""

    key_id: str
    name: str
    owner: str
    scopes: list[Scope]
    is_person: bool
    expires_at: datetime | None
    limits: Allowance
    """Of this key alone, the gateway's options filled in."""
    user_limits: Allowance
    """Of all keys of the user together, likewise."""


class Token(Document):
    """A token for a person who logged in."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme
    expires_in: int
    """Seconds."""
    session_expires_at: datetime
    user: str
    role: Role
    scopes: list[Scope]


class Ticket(Document):
    """A ticket."""

    ticket: str
    url: str
    """The address with the ticket, relative to the gateway's; more parameters may be added."""
    expires_at: datetime


class SignedAddress(Document):
    """An address that opens one file."""

    url: str
    """Relative or whole, as what was to be signed."""
    expires_at: datetime


class AuditEntry(Document):
    """One act."""

    id: int
    at: datetime
    actor: str
    key_id: str
    act: str
    target: str
    address: str
    request_id: str
    detail: dict[str, Any]


class AuditPage(Document):
    """Some acts."""

    items: list[AuditEntry]
    next_cursor: str | None
    """What `cursor` takes for the next page; null on the last one."""


def moment(milliseconds: int) -> datetime:
    """Return a time as answers write it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _maybe(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment(milliseconds)


def key_members(record: KeyRecord, now: int) -> dict[str, Any]:
    """Return what is told of a key."""
    return {
        "id": record.id, "name": record.name, "hint": record.hint, "state": record.state(now),
        "scopes": sorted(record.scopes), "owner": record.owner, "labels": dict(record.labels), "limits": record.limits,
        "managed_by": "stack" if record.seeded else "gateway", "created_at": moment(record.created_at),
        "created_by": record.created_by, "expires_at": _maybe(record.expires_at),
        "revoked_at": _maybe(record.revoked_at), "last_used_at": _maybe(record.last_used_at),
        "previous_until": _maybe(record.previous_until),
    }  # fmt: skip


def user(record: UserRecord) -> User:
    """Return what is told of a user."""
    return User(
        name=record.name, role=record.role, scopes=sorted(ROLES[record.role]), has_password=record.password is not None,
        disabled=record.disabled_at is not None, labels=dict(record.labels), limits=record.limits,
        created_at=moment(record.created_at),
    )  # fmt: skip


def me(actor: Actor, limits: Allowance, user_limits: Allowance) -> Me:
    """Return what a caller is told of itself."""
    return Me(
        key_id=actor.key_id, name=actor.name, owner=actor.owner, scopes=sorted(actor.scopes),
        is_person=actor.key_id.startswith("user:"), expires_at=_maybe(actor.expires_at), limits=limits,
        user_limits=user_limits,
    )  # fmt: skip


def audit_entry(entry: Entry) -> AuditEntry:
    """Return what is told of an act."""
    return AuditEntry(
        id=entry.sequence, at=moment(entry.at), actor=entry.actor, key_id=entry.key_id, act=entry.act,
        target=entry.target, address=entry.address, request_id=entry.request_id, detail=dict(entry.detail),
    )  # fmt: skip
