"""Keys, users and sessions in memory."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provisioning.gateway.core.limit_settings import NOTHING, LimitSettings
from provisioning.gateway.core.scopes import Role, Scope

_NO_DIGEST = bytes(32)


class KeyState(StrEnum):
    """The state of a key."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class KeyRecord:
    """A key as stored: enough to verify it, not enough to use it."""

    id: str
    name: str
    owner: str
    scopes: frozenset[Scope]
    """The granted scopes, with bundles unexpanded."""
    digest: bytes
    seeded: bool
    """Whether the stack created the key; only the stack may change its secret and scopes."""
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    previous_digest: bytes | None = None
    """The digest of the secret before the last rotation."""
    previous_until: int | None = None
    last_used_at: int | None = None
    created_by: str = ""
    hint: str = ""
    """The first and last characters of the key, by which people recognise it."""
    limits: LimitSettings = NOTHING
    labels: Mapping[str, str] = field(default_factory=dict)

    def is_secret(self, given: bytes) -> tuple[bool, bool]:
        """Return whether a digest matches the current secret, and whether it matches the previous one.

        Both are always compared, in constant time, so that timing reveals nothing.
        """
        current = hmac.compare_digest(given, self.digest)
        return current, hmac.compare_digest(given, self.previous_digest or _NO_DIGEST)

    def accepts(self, given: bytes, now: int) -> bool:
        """Return whether a digest matches a secret that is accepted now."""
        current, previous = self.is_secret(given)
        return current or (previous and now < (self.previous_until or 0))

    def is_active(self, now: int) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def state(self, now: int) -> KeyState:
        """Return whether the key is active, expired or revoked."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        return KeyState.ACTIVE if self.is_active(now) else KeyState.EXPIRED


@dataclass(frozen=True)
class UserRecord:
    """A user as stored."""

    name: str
    role: Role
    created_at: int
    password: str | None = None
    password_at: int | None = None
    disabled_at: int | None = None
    deleted_at: int | None = None
    limits: LimitSettings = NOTHING
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """Return whether the user and the user's keys are accepted."""
        return self.disabled_at is None and self.deleted_at is None


@dataclass(frozen=True)
class SessionRecord:
    """A session as stored."""

    id: str
    user: str | None
    key_id: str | None
    proof: bytes | None
    digest: bytes
    address: str
    created_at: int
    expires_at: int
    ended_at: int | None = None
