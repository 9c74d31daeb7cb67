"""The keys of the stack: stored at every start, so that they exist from the first one and follow a rotation."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from provisioning.gateway.accounts import key_format, key_repository, user_repository
from provisioning.gateway.accounts.records import KeyRecord, UserRecord
from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.core.scopes import least_role
from provisioning.gateway.core.settings import SeedKey, SettingsError


async def seed(store: KeyStore, seeds: Iterable[SeedKey]) -> None:
    """Store the stack's keys and their users; raises SettingsError for a malformed key.

    A revoked key stays revoked. When the stack has rotated a key, the earlier one is revoked.
    """
    records, now = [_record(store, given) for given in seeds], store.clock.now_ms()

    def work(connection: Connection) -> None:
        for record in records:
            user_repository.add(connection, UserRecord(record.owner, least_role(record.scopes), now))
            key_repository.seed(connection, record, now)

    await store.change(work)


def _record(store: KeyStore, given: SeedKey) -> KeyRecord:
    token = given.key.get_secret_value()
    key_id = key_format.key_id(token)
    if key_id is None:
        raise SettingsError(f"seed_keys: the key {given.name!r} does not have the form cgw_live_...; create it again")
    return KeyRecord(
        key_id, given.name, given.name, given.scopes, store.digest(token), seeded=True,
        created_at=store.clock.now_ms(), created_by="stack", hint=key_format.hint(token),
    )  # fmt: skip
