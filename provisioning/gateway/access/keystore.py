"""The keys that were issued, and the question that every request asks: whose key is this?"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from provisioning.gateway.access import keys
from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.scopes import Scope, expand
from provisioning.gateway.clock import Clock
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.settings import SeedKey, SettingsError
from provisioning.gateway.storage import statements
from provisioning.gateway.storage.database import Database
from provisioning.gateway.storage.tables import KeyRow

REFRESH_SECONDS = 0.5
"""How long a key revoked by another process may still live."""

CHANGED = "keys_changed"
"""Under this name stands a word that is another one after every change to the keys, whoever made it."""


@dataclass(frozen=True)
class KeyRecord:
    """A key as it is stored: enough to recognise it, too little to use it."""

    id: str
    name: str
    owner: str
    scopes: frozenset[Scope]
    digest: bytes
    seeded: bool
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    @property
    def actor(self) -> Actor:
        """Return who holds this key."""
        return Actor(self.id, self.name, self.owner, expand(self.scopes))


_COLUMNS = tuple(getattr(KeyRow, field.name) for field in fields(KeyRecord))


class KeyStore:
    """All keys, in memory, and read again when somebody else changed one.

    So a request with a wrong key never reaches the database, and a revoked key is dead within REFRESH_SECONDS.
    When the database cannot be read nobody is let in.
    """

    def __init__(self, database: Database, pepper: str, clock: Clock) -> None:
        self._database = database
        self._pepper = pepper
        self._clock = clock
        self._records: dict[str, KeyRecord] = {}
        self._looked_at = float("-inf")
        self._version: str | None = None
        self._refreshing = asyncio.Lock()

    async def find(self, token: str) -> Actor:
        """Return whose key `token` is; raises Problem: INVALID_KEY, KEY_REVOKED, KEY_EXPIRED, STORE_UNAVAILABLE."""
        key_id = keys.key_id(token)
        if key_id is None:
            raise Problem(Code.INVALID_KEY)
        await self._refresh()
        given = keys.digest(self._pepper, token)
        record = self._records.get(key_id)
        # A digest is compared in both cases, so that the time taken does not tell which ids exist.
        if not hmac.compare_digest(given, record.digest if record else b"\0" * len(given)) or record is None:
            raise Problem(Code.INVALID_KEY)
        if record.revoked_at is not None:
            raise Problem(Code.KEY_REVOKED)
        if record.expires_at is not None and record.expires_at <= self._clock.now_ms():
            raise Problem(Code.KEY_EXPIRED)
        return record.actor

    async def _refresh(self) -> None:
        if self._clock.monotonic() - self._looked_at < REFRESH_SECONDS:
            return
        async with self._refreshing:
            started = self._clock.monotonic()
            if started - self._looked_at < REFRESH_SECONDS:
                return
            version = await self._database.read(_version)
            if version != self._version or self._looked_at == float("-inf"):
                self._records = {record.id: record for record in await self._database.read(all_keys)}
            self._version, self._looked_at = version, started

    async def create(self, name: str, scopes: frozenset[Scope], owner: str | None = None) -> str:
        """Issue a key and return it; this is the only time it can be seen."""
        token = keys.mint()
        record = self._record(token, name, scopes, owner)
        await self._database.run(lambda connection: add(connection, record))
        self._looked_at = float("-inf")
        return token

    async def revoke(self, key_id: str) -> bool:
        """End a key at once; returns False when there is no such key that still lives."""
        now = self._clock.now_ms()
        revoked = await self._database.run(lambda connection: revoke(connection, key_id, now))
        self._looked_at = float("-inf")
        return revoked

    async def records(self) -> list[KeyRecord]:
        """Return every key that was ever issued, oldest first."""
        return await self._database.read(all_keys)

    async def seed(self, seeds: Iterable[SeedKey]) -> None:
        """Make the stack's keys known; raises SettingsError for one that is not of our form.

        A seed that was revoked stays revoked; the predecessor of a seed that the stack has rotated is revoked.
        """
        records = [self._seed_record(seed) for seed in seeds]
        now = self._clock.now_ms()

        def work(connection: Connection) -> None:
            for record in records:
                _seed(connection, record, now)

        await self._database.run(work)

    def _seed_record(self, seed: SeedKey) -> KeyRecord:
        token = seed.key.get_secret_value()
        if keys.key_id(token) is None:
            raise SettingsError(
                f"seed_keys: the key named {seed.name!r} is not of the form cgw_live_...; make it again"
            )
        return self._record(token, seed.name, seed.scopes, seed.name, seeded=True)

    def _record(
        self, token: str, name: str, scopes: frozenset[Scope], owner: str | None, *, seeded: bool = False
    ) -> KeyRecord:
        key_id = keys.key_id(token) or ""
        digest = keys.digest(self._pepper, token)
        return KeyRecord(key_id, name, owner or key_id, scopes, digest, seeded, self._clock.now_ms(), None, None)


def all_keys(connection: Connection) -> list[KeyRecord]:
    """Return every key, oldest first."""
    rows = connection.execute(select(*_COLUMNS).order_by(KeyRow.created_at, KeyRow.id))
    return [_from_row(row) for row in rows]


def add(connection: Connection, record: KeyRecord) -> None:
    """Store a new key."""
    values = {field.name: getattr(record, field.name) for field in fields(KeyRecord)}
    connection.execute(insert(KeyRow).values(**values | {"scopes": _scopes(record)}))
    announce(connection)


def revoke(connection: Connection, key_id: str, now: int) -> bool:
    """Mark a living key as revoked; returns whether there was one."""
    living = update(KeyRow).where(KeyRow.id == key_id, KeyRow.revoked_at.is_(None))
    announce(connection)
    return connection.execute(living.values(revoked_at=now)).rowcount == 1


def announce(connection: Connection) -> None:
    """Have every process read the keys again; belongs into each transaction that changes one."""
    statements.put(connection, CHANGED, secrets.token_hex(8))


def _seed(connection: Connection, record: KeyRecord, now: int) -> None:
    former = (KeyRow.seeded.is_(True), KeyRow.name == record.name, KeyRow.id != record.id, KeyRow.revoked_at.is_(None))
    connection.execute(update(KeyRow).where(*former).values(revoked_at=now))
    # The same key under a new pepper, or with other scopes: the settings are right.
    known = update(KeyRow).where(KeyRow.id == record.id)
    if connection.execute(known.values(digest=record.digest, scopes=_scopes(record))).rowcount == 0:
        add(connection, record)
    announce(connection)


def _version(connection: Connection) -> str | None:
    return statements.word(connection, CHANGED)


def _scopes(record: KeyRecord) -> str:
    return json.dumps(sorted(record.scopes))


def _from_row(row: Row[Any]) -> KeyRecord:
    values = row._asdict()
    return KeyRecord(**values | {"scopes": frozenset(Scope(scope) for scope in json.loads(values["scopes"]))})
