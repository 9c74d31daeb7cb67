"""Keys, users and sessions in memory; finds the caller of every request."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

from provisioning.gateway.accounts import key_format, key_repository, session_repository, user_repository
from provisioning.gateway.accounts.records import KeyRecord, SessionRecord, UserRecord
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.limit_settings import NOTHING
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import ROLES, expand

Result = TypeVar("Result")

REFRESH_SECONDS = 0.5
"""How long a key revoked by another process may still be accepted here."""

VERSION_KEY = "keys_changed"
"""Key in the table `meta` of a version that changes with every change to keys, users and sessions, by any process."""

_DUMMY_KEY = KeyRecord("", "", "", frozenset(), bytes(32), seeded=False, created_at=0, revoked_at=0)
"""The key that a secret is compared with when no key has its id, so that the time taken is the same."""


class KeyStore:
    """Caches all keys, users and active sessions, and reloads them when another process has changed one.

    A request with a wrong key never reaches the database. A revoked key is refused at once by this process, and within
    REFRESH_SECONDS by others. When the database cannot be read, every request is refused.
    """

    def __init__(self, database: Database, pepper: str, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._pepper = pepper
        self._keys: Mapping[str, KeyRecord] = {}
        self._users: Mapping[str, UserRecord] = {}
        self._sessions: Mapping[str, SessionRecord] = {}
        self._actors: dict[str, Actor] = {}
        self._verified: dict[bytes, KeyRecord] = {}
        """Keys whose secret was verified, by a hash of the token with a random salt of this process."""
        self._salt = secrets.token_bytes(32)
        self._used: dict[str, int] = {}
        self._unwritten: set[str] = set()
        self._changes = 0
        self._checked_at = float("-inf")
        self._version: str | None = None
        self._refreshing = asyncio.Lock()

    async def find(self, token: str) -> Actor:
        """Return the caller whose key `token` is.

        Raises Problem: INVALID_KEY, KEY_REVOKED, KEY_EXPIRED, USER_DISABLED, STORE_UNAVAILABLE.
        """
        cache_key = hashlib.blake2b(token.encode(), key=self._salt, digest_size=16).digest()
        if cache_key not in self._verified and key_format.key_id(token) is None:
            raise Problem(Code.INVALID_KEY)
        if self._is_stale():
            await self._refresh()
        verified = self._verified.get(cache_key)
        return self._verify(token, cache_key) if verified is None else self._actor(verified, self.clock.now_ms())

    def _verify(self, token: str, cache_key: bytes) -> Actor:
        key_id = key_format.key_id(token) or ""
        record, now = self._keys.get(key_id, _DUMMY_KEY), self.clock.now_ms()
        # Digests are compared for an unknown id as well: timing must not reveal which ids exist.
        current, previous = record.is_secret(self.digest(token))
        if not (current or previous) or record is _DUMMY_KEY:
            raise Problem(Code.INVALID_KEY)
        if not current and now >= (record.previous_until or 0):
            raise Problem(Code.KEY_REVOKED, "This key was rotated and its old secret has expired; use the new one.")
        actor = self._actor(record, now)
        if current:
            self._verified[cache_key] = record
            return actor
        # A session opened with the old secret ends when the old secret expires.
        return replace(actor, expires_at=min(at for at in (record.previous_until, record.expires_at) if at is not None))

    def _actor(self, record: KeyRecord, now: int) -> Actor:
        if not record.is_active(now):
            raise Problem(Code.KEY_EXPIRED if record.revoked_at is None else Code.KEY_REVOKED)
        user = self._users.get(record.owner)
        if user is not None and not user.is_active:
            raise Problem(Code.USER_DISABLED)
        self._used[record.id] = now
        self._unwritten.add(record.id)
        actor = self._actors.get(record.id)
        if actor is None:
            actor = self._actors[record.id] = actor_of(record, user)
        return actor

    async def resolve_or_none(self, reference: str) -> Actor | None:
        """Return the caller that a reference names, with its current rights; None when it is no longer accepted."""
        await self._refresh()
        try:
            return await self.resolve(reference)
        except Problem:
            return None

    async def resolve(self, reference: str) -> Actor:
        """Return the caller that a reference names; raises Problem as `find` does, or SESSION_ENDED."""
        session = await self.session(reference)
        record = self._keys.get((session.key_id or "") if session else reference)
        if record is not None:
            actor = self._actor(record, self.clock.now_ms())
            return replace(actor, session_id=session.id) if session else actor
        user = self._users.get((session.user or "") if session else "")
        if user is None:
            raise Problem(Code.SESSION_ENDED)
        return replace(actor_of_user(user), session_id=reference)

    async def session(self, session_id: str) -> SessionRecord | None:
        """Return an active session: not ended, not expired, and opened with a credential that is still accepted."""
        await self._refresh()
        session, now = self._sessions.get(session_id), self.clock.now_ms()
        if session is None or session.expires_at <= now:
            return None
        if session.key_id is not None:
            record = self._keys.get(session.key_id)
            return session if record is not None and record.accepts(session.proof or b"", now) else None
        user = self._users.get(session.user or "")
        is_valid = user is not None and user.is_active and session.created_at >= (user.password_at or 0)
        return session if is_valid else None

    async def user(self, name: str) -> UserRecord | None:
        """Return a user, deleted ones included."""
        await self._refresh()
        return self._users.get(name)

    async def users(self) -> list[UserRecord]:
        """Return all users, deleted ones included, oldest first."""
        await self._refresh()
        return list(self._users.values())

    async def key(self, key_id: str) -> KeyRecord | None:
        """Return a key by its id, revoked ones included."""
        await self._refresh()
        record = self._keys.get(key_id)
        return None if record is None else self._with_use(record)

    async def records(self) -> list[KeyRecord]:
        """Return all keys, revoked ones included, oldest first."""
        await self._refresh()
        return [self._with_use(record) for record in self._keys.values()]

    def _with_use(self, record: KeyRecord) -> KeyRecord:
        return replace(record, last_used_at=self._used.get(record.id, record.last_used_at))

    def digest(self, secret: str) -> bytes:
        """Return the keyed hash of a secret that is stored."""
        return key_format.digest(self._pepper, secret)

    async def change(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work`, which changes keys, users or sessions, in a transaction, and have every process reload them."""

        def with_new_version(connection: Connection) -> Result:
            result = work(connection)
            sql_helpers.set_meta(connection, VERSION_KEY, secrets.token_hex(8))
            return result

        try:
            return await self.database.run(with_new_version)
        finally:
            # A reload in progress may have read the state before this change.
            self._changes += 1
            self._checked_at = float("-inf")

    def _is_stale(self) -> bool:
        return self.clock.monotonic() - self._checked_at >= REFRESH_SECONDS

    async def _refresh(self) -> None:
        if not self._is_stale():
            return
        async with self._refreshing:
            if not self._is_stale():
                return
            started = self.clock.monotonic()
            changes = self._changes
            version = await self.database.read(_version)
            if version != self._version or self._checked_at == float("-inf"):
                await self._read()
            self._version = version
            if changes == self._changes:
                self._checked_at = started

    async def _read(self) -> None:
        now = self.clock.now_ms()
        found = await self.database.read(
            lambda connection: (
                key_repository.list_keys(connection),
                user_repository.list_users(connection),
                session_repository.list_active(connection, now),
            )
        )
        self._keys = {record.id: record for record in found[0]}
        self._users = {user.name: user for user in found[1]}
        self._sessions = {session.id: session for session in found[2]}
        self._actors, self._verified = {}, {}

    async def flush(self) -> None:
        """Store when keys were last used; keeps the times for the next call if it raises Problem(STORE_UNAVAILABLE)."""
        times = [(key_id, self._used[key_id]) for key_id in self._unwritten]
        if times:
            self._unwritten = set()
            try:
                await self.database.run(lambda connection: key_repository.record_use(connection, times))
            except Problem:
                self._unwritten |= {key_id for key_id, _ in times}
                raise


def actor_of(record: KeyRecord, user: UserRecord | None) -> Actor:
    """Return a key's caller, with at most the scopes that the user's role allows."""
    scopes = expand(record.scopes)
    if user is not None:
        scopes &= ROLES[user.role]
    user_limits = NOTHING if user is None else user.limits
    return Actor(record.id, record.name, record.owner, scopes, record.limits, user_limits, record.expires_at)


def actor_of_user(user: UserRecord) -> Actor:
    """Return the caller for a person who logged in."""
    return Actor(f"user:{user.name}", user.name, user.name, ROLES[user.role], user_limits=user.limits)


def _version(connection: Connection) -> str | None:
    return sql_helpers.get_meta(connection, VERSION_KEY)
