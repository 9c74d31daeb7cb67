"""The keys that the stack makes: known from the first start on, and followed when the stack rotates one."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from provisioning.gateway.access import keyrows, keys, userrows
from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.access.records import KeyRecord, UserRecord
from provisioning.gateway.access.scopes import least_role
from provisioning.gateway.settings import SeedKey, SettingsError


async def seed(store: KeyStore, seeds: Iterable[SeedKey]) -> None:
    """Make the stack's keys and their users known; raises SettingsError for a key that is not of our form.

    A seed that was revoked stays revoked; the predecessor of a seed that the stack has rotated is revoked.
    """
    records, now = [_record(store, given) for given in seeds], store.clock.now_ms()

    def work(connection: Connection) -> None:
        for record in records:
            userrows.add(connection, UserRecord(record.owner, least_role(record.scopes), now))
            keyrows.seed(connection, record, now)

    await store.change(work)


def _record(store: KeyStore, given: SeedKey) -> KeyRecord:
    token = given.key.get_secret_value()
    key_id = keys.key_id(token)
    if key_id is None:
        raise SettingsError(f"seed_keys: the key named {given.name!r} is not of the form cgw_live_...; make it again")
    return KeyRecord(
        key_id, given.name, given.name, given.scopes, store.digest(token), seeded=True,
        created_at=store.clock.now_ms(), created_by="stack", hint=keys.hint(token),
    )  # fmt: skip
