"""The keys that the stack makes: known from the first start on, and followed when the stack rotates one."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from provisioning.gateway.accounts import key_format, key_repository, user_repository
from provisioning.gateway.accounts.records import KeyRecord, UserRecord
from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.core.scopes import least_role
from provisioning.gateway.core.settings import SeedKey, SettingsError


async def seed(store: KeyStore, seeds: Iterable[SeedKey]) -> None:
    """Make the stack's keys and their users known; raises SettingsError for a key that is not of our form.

    A seed that was revoked stays revoked; the predecessor of a seed that the stack has rotated is revoked.
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
        raise SettingsError(f"seed_keys: the key named {given.name!r} is not of the form cgw_live_...; make it again")
    return KeyRecord(
        key_id, given.name, given.name, given.scopes, store.digest(token), seeded=True,
        created_at=store.clock.now_ms(), created_by="stack", hint=key_format.hint(token),
    )  # fmt: skip
