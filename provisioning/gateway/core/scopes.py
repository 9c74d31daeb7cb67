"""Permissions of callers: scopes, and the roles that bundle them, for keys and for people.

Each operation declares the scope that it needs; nothing else decides what a caller may do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Scope(StrEnum):
    """A permission of a key."""

    READ = "read"
    """Read one's own jobs, events, results, files and usage, and data that is the same for all."""
    JOBS = "jobs"
    """Submit jobs and cancel one's own."""
    ASSETS = "assets"
    """Upload files and delete one's own."""
    KEYS = "keys"
    """Manage the keys of one's own user; none can have more permissions than the managing key."""
    MONITOR = "monitor"
    """Read metrics and statistics of the machine; for the key of a monitoring system."""
    OPERATE = "operate"
    """Operate the machine: see and cancel the jobs of all users, free memory."""
    ADMIN = "admin"
    """Everything, including other users' keys, the users and the audit log."""
    CLIENT = "client"
    """READ, JOBS and ASSETS in one: what a bot needs."""


class Role(StrEnum):
    """The role of a person; it also bounds the scopes of the person's keys."""

    VIEWER = "viewer"
    MEMBER = "member"
    OPERATOR = "operator"
    ADMIN = "admin"


BUNDLES: Mapping[Scope, frozenset[Scope]] = {
    Scope.CLIENT: frozenset({Scope.READ, Scope.JOBS, Scope.ASSETS}),
    Scope.ADMIN: frozenset(Scope) - {Scope.CLIENT},
}
"""Scopes that stand for several others."""

_MEMBER = BUNDLES[Scope.CLIENT] | {Scope.KEYS}

ROLES: Mapping[Role, frozenset[Scope]] = {
    Role.VIEWER: frozenset({Scope.READ, Scope.MONITOR}),
    Role.MEMBER: _MEMBER,
    Role.OPERATOR: _MEMBER | {Scope.MONITOR, Scope.OPERATE},
    Role.ADMIN: BUNDLES[Scope.ADMIN],
}
"""The most that people of each role, and their keys, may do; in ascending order."""


def expand(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """Return the granted scopes with every bundle expanded into single scopes."""
    return frozenset[Scope]().union(*(BUNDLES.get(scope, {scope}) for scope in scopes))


def least_role(scopes: Iterable[Scope]) -> Role:
    """Return the lowest role that has all of these scopes."""
    wanted = expand(scopes)
    return next(role for role, allowed in ROLES.items() if wanted <= allowed)
