"""The caller of a request."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.gateway.core.limit_settings import NOTHING, LimitSettings
from provisioning.gateway.core.scopes import Scope


@dataclass(frozen=True)
class Actor:
    """The caller of one request, authenticated by any kind of credential."""

    key_id: str
    """The key's id, or `user:<name>` for a person who logged in."""
    name: str
    owner: str
    """The user who owns the caller's jobs and files; several keys may belong to one user."""
    scopes: frozenset[Scope]
    """Single scopes; bundles are expanded."""
    limits: LimitSettings = NOTHING
    """The limits of the key."""
    user_limits: LimitSettings = NOTHING
    """The limits of the user, shared by all of the user's keys."""
    expires_at: int | None = None
    """When the key expires, in milliseconds since the epoch; None for a key without expiry, and for people."""
    session_id: str | None = None
    """The login session; None for a key."""

    @property
    def is_admin(self) -> bool:
        """Return whether the actor may do everything, including in other users' files."""
        return Scope.ADMIN in self.scopes

    @property
    def sees_all(self) -> bool:
        """Return whether the actor sees the jobs of all users."""
        return Scope.OPERATE in self.scopes

    @property
    def visible_owner(self) -> str | None:
        """Return the owner whose jobs and files the actor sees; None means all owners."""
        return None if self.sees_all else self.owner

    @property
    def reference(self) -> str:
        """Return the id under which the caller can be looked up again: its login session, else its key."""
        return self.session_id or self.key_id
