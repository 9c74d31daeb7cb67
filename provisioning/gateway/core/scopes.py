"""What a caller may do: scopes, and the roles that bundle them; one model for keys and for people.

The table of routes names the scope that each route needs; nothing else decides what a caller may do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Scope(StrEnum):
    """One thing that a key may be allowed to do."""

    READ = "read"
    """Look at its own: jobs, events, results, usage, and the files themselves; and at what is the same for all."""
    JOBS = "jobs"
    """Take the GPU: submit and cancel jobs of its own."""
    ASSETS = "assets"
    """Take the disk: upload files and delete its own."""
    KEYS = "keys"
    """Manage the keys of its own user, none of which can do more than itself."""
    MONITOR = "monitor"
    """Look at the machine: metrics and statistics; what a monitoring system's key needs."""
    OPERATE = "operate"
    """Look after the machine and everybody's jobs: see, cancel, free memory."""
    ADMIN = "admin"
    """Everything, other people's keys, users and the audit log included."""
    CLIENT = "client"
    """READ, JOBS and ASSETS by one name: what a bot needs."""


class Role(StrEnum):
    """What a person is; bounds every key of theirs as well."""

    VIEWER = "viewer"
    MEMBER = "member"
    OPERATOR = "operator"
    ADMIN = "admin"


BUNDLES: Mapping[Scope, frozenset[Scope]] = {
    Scope.CLIENT: frozenset({Scope.READ, Scope.JOBS, Scope.ASSETS}),
    Scope.ADMIN: frozenset(Scope) - {Scope.CLIENT},
}
"""Scopes that stand for several."""

_MEMBER = BUNDLES[Scope.CLIENT] | {Scope.KEYS}

ROLES: Mapping[Role, frozenset[Scope]] = {
    Role.VIEWER: frozenset({Scope.READ, Scope.MONITOR}),
    Role.MEMBER: _MEMBER,
    Role.OPERATOR: _MEMBER | {Scope.MONITOR, Scope.OPERATE},
    Role.ADMIN: BUNDLES[Scope.ADMIN],
}
"""What people of each role, and the keys they own, may do at most; from the least on."""


def expand(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """Return single scopes for what was granted, with each bundle taken apart."""
    return frozenset[Scope]().union(*(BUNDLES.get(scope, {scope}) for scope in scopes))


def least_role(scopes: Iterable[Scope]) -> Role:
    """Return the first role, from the least on, that may do all this."""
    wanted = expand(scopes)
    return next(role for role, allowed in ROLES.items() if wanted <= allowed)
