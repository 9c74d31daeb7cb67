"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.gateway.core.limit_settings import NOTHING, LimitSettings
from provisioning.gateway.core.scopes import Scope


@dataclass(frozen=True)
class Actor:
    """The caller of one request, whatever credential it came with."""

    key_id: str
    """The key's id, or `user:<name>` for a person who logged in."""
    name: str
    owner: str
    """The user whose jobs and files these are; several keys may share one."""
    scopes: frozenset[Scope]
    """Single scopes, no bundles."""
    limits: LimitSettings = NOTHING
    """The key's own."""
    user_limits: LimitSettings = NOTHING
    """Those of its user, shared by all the user's keys."""
    expires_at: int | None = None
    """When the key ends, in milliseconds since the epoch; None for one that does not, and for people."""
    session_id: str | None = None
    """The login this came by."""

    @property
    def is_admin(self) -> bool:
        """Return whether the actor may do everything, in everybody's files as well."""
        return Scope.ADMIN in self.scopes

    @property
    def sees_all(self) -> bool:
        """Return whether everybody's jobs are shown to the actor, beside its own."""
        return Scope.OPERATE in self.scopes

    @property
    def visible_owner(self) -> str | None:
        """Return whose jobs and files the actor sees; None means everybody's."""
        return None if self.sees_all else self.owner

    @property
    def reference(self) -> str:
        """Return by what the caller is found again later: the login it came by, or else its key."""
        return self.session_id or self.key_id
