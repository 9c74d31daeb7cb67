"""Keys, users and logins in memory, and the question that every request asks: whose key is this?"""

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
"""How long a key revoked by another process may still live."""

CHANGED = "keys_changed"
"""Key of a version that changes with every change to keys, users and logins, by any process."""

_NOBODY = KeyRecord("", "", "", frozenset(), bytes(32), seeded=False, created_at=0, revoked_at=0)
"""What a secret is compared with when no key has its id."""


class KeyStore:
    """All keys, users and living logins, read again when somebody else changed one.

    So a request with a wrong key never reaches the database, and a revoked key is dead at once here and within
    REFRESH_SECONDS in other processes. When the database cannot be read nobody is let in.
    """

    def __init__(self, database: Database, pepper: str, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._pepper = pepper
        self._keys: Mapping[str, KeyRecord] = {}
        self._users: Mapping[str, UserRecord] = {}
        self._sessions: Mapping[str, SessionRecord] = {}
        self._actors: dict[str, Actor] = {}
        self._proven: dict[bytes, KeyRecord] = {}
        """Whose key it was that was shown to be right, by a hash that means nothing outside this process."""
        self._salt = secrets.token_bytes(32)
        self._used: dict[str, int] = {}
        self._unwritten: set[str] = set()
        self._changes = 0
        self._looked_at = float("-inf")
        self._version: str | None = None
        self._refreshing = asyncio.Lock()

    async def find(self, token: str) -> Actor:
        """Return whose key `token` is.

        Raises Problem: INVALID_KEY, KEY_REVOKED, KEY_EXPIRED, USER_DISABLED, STORE_UNAVAILABLE.
        """
        mark = hashlib.blake2b(token.encode(), key=self._salt, digest_size=16).digest()
        if mark not in self._proven and key_format.key_id(token) is None:
            raise Problem(Code.INVALID_KEY)
        if self._is_stale():
            await self._refresh()
        proven = self._proven.get(mark)
        return self._prove(token, mark) if proven is None else self._actor(proven, self.clock.now_ms())

    def _prove(self, token: str, mark: bytes) -> Actor:
        key_id = key_format.key_id(token) or ""
        record, now = self._keys.get(key_id, _NOBODY), self.clock.now_ms()
        # Digests are compared for an unknown id as well: the time taken must not tell which ids exist.
        current, previous = record.is_secret(self.digest(token))
        if not (current or previous) or record is _NOBODY:
            raise Problem(Code.INVALID_KEY)
        if not current and now >= (record.previous_until or 0):
            raise Problem(Code.KEY_REVOKED, "This key was rotated and its former secret has ended; use the new one.")
        actor = self._actor(record, now)
        if current:
            self._proven[mark] = record
            return actor
        # What was opened with a former secret ends with it.
        return replace(actor, expires_at=min(at for at in (record.previous_until, record.expires_at) if at is not None))

    def _actor(self, record: KeyRecord, now: int) -> Actor:
        if not record.lives(now):
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
        """Return the caller that an actor's reference names, with its present rights; None when it has none."""
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
        """Return a login that lives: neither over nor outlived by what it was opened with."""
        await self._refresh()
        session, now = self._sessions.get(session_id), self.clock.now_ms()
        if session is None or session.expires_at <= now:
            return None
        if session.key_id is not None:
            record = self._keys.get(session.key_id)
            return session if record is not None and record.accepts(session.proof or b"", now) else None
        user = self._users.get(session.user or "")
        lives = user is not None and user.is_active and session.created_at >= (user.password_at or 0)
        return session if lives else None

    async def user(self, name: str) -> UserRecord | None:
        """Return a user, deleted ones included."""
        await self._refresh()
        return self._users.get(name)

    async def users(self) -> list[UserRecord]:
        """Return every user, deleted ones included, oldest first."""
        await self._refresh()
        return list(self._users.values())

    async def key(self, key_id: str) -> KeyRecord | None:
        """Return a key by its id, revoked ones included."""
        await self._refresh()
        record = self._keys.get(key_id)
        return None if record is None else self._with_use(record)

    async def records(self) -> list[KeyRecord]:
        """Return every key that was ever issued, oldest first."""
        await self._refresh()
        return [self._with_use(record) for record in self._keys.values()]

    def _with_use(self, record: KeyRecord) -> KeyRecord:
        return replace(record, last_used_at=self._used.get(record.id, record.last_used_at))

    def digest(self, secret: str) -> bytes:
        """Return what is stored of a secret."""
        return key_format.digest(self._pepper, secret)

    async def change(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work`, which changes keys, users or logins, in one transaction; every process then reads them again."""

        def announced(connection: Connection) -> Result:
            result = work(connection)
            sql_helpers.set_meta(connection, CHANGED, secrets.token_hex(8))
            return result

        try:
            return await self.database.run(announced)
        finally:
            # Also what is being read at this moment may be from before.
            self._changes += 1
            self._looked_at = float("-inf")

    def _is_stale(self) -> bool:
        return self.clock.monotonic() - self._looked_at >= REFRESH_SECONDS

    async def _refresh(self) -> None:
        if not self._is_stale():
            return
        async with self._refreshing:
            if not self._is_stale():
                return
            started = self.clock.monotonic()
            changes = self._changes
            version = await self.database.read(_version)
            if version != self._version or self._looked_at == float("-inf"):
                await self._read()
            self._version = version
            if changes == self._changes:
                self._looked_at = started

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
        self._actors, self._proven = {}, {}

    async def flush(self) -> None:
        """Write down when keys were last used; raises Problem(STORE_UNAVAILABLE), and nothing is forgotten."""
        times = [(key_id, self._used[key_id]) for key_id in self._unwritten]
        if times:
            self._unwritten = set()
            try:
                await self.database.run(lambda connection: key_repository.used(connection, times))
            except Problem:
                self._unwritten |= {key_id for key_id, _ in times}
                raise


def actor_of(record: KeyRecord, user: UserRecord | None) -> Actor:
    """Return who holds a key: at most what its user's role allows."""
    scopes = expand(record.scopes)
    if user is not None:
        scopes &= ROLES[user.role]
    user_limits = NOTHING if user is None else user.limits
    return Actor(record.id, record.name, record.owner, scopes, record.limits, user_limits, record.expires_at)


def actor_of_user(user: UserRecord) -> Actor:
    """Return a person who logged in."""
    return Actor(f"user:{user.name}", user.name, user.name, ROLES[user.role], user_limits=user.limits)


def _version(connection: Connection) -> str | None:
    return sql_helpers.get_meta(connection, CHANGED)
