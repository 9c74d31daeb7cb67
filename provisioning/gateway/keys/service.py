"""Issuing, changing, rotating and revoking keys: all keys for an admin, those of one's own user for others.

A caller cannot grant scopes that it lacks or a longer life than its own; only an admin sets limits. Every change is
recorded in the audit log in the same transaction.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from provisioning.gateway.accounts import key_format, key_repository
from provisioning.gateway.accounts.records import KeyRecord, KeyState
from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.admin import audit
from provisioning.gateway.admin.audit import AuditAction, AuditContext
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.limit_settings import NOTHING
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.core.scopes import ROLES, expand
from provisioning.gateway.keys.schemas import KeyChange, NewKey


class KeyService:
    """Issues, changes, rotates and revokes keys."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    async def show(self, actor: Actor, key_id: str) -> KeyRecord:
        """Return a key; raises Problem NOT_FOUND when it does not exist or the caller may not see it."""
        record = await self._store.key(key_id)
        if record is None or not _may_see(actor, record):
            raise Problem(Code.NOT_FOUND)
        return record

    async def list(self, actor: Actor, owner: str | None, state: KeyState | None) -> list[KeyRecord]:
        """Return the keys that the caller may see, newest first."""
        now = self._store.clock.now_ms()
        return [
            record
            for record in reversed(await self._store.records())
            if _may_see(actor, record) and owner in {None, record.owner} and state in {None, record.state(now)}
        ]

    async def create(self, by: AuditContext, order: NewKey) -> tuple[str, KeyRecord]:
        """Issue a key; returns its secret, which is not stored, and the record. Raises Problem."""
        token, now = key_format.mint(), self._store.clock.now_ms()
        key_id = key_format.key_id(token) or ""
        owner = order.owner or (key_id if by.actor.is_admin else by.actor.owner)
        record = KeyRecord(
            key_id, order.name, owner, order.scopes, self._store.digest(token), seeded=False, created_at=now,
            expires_at=_milliseconds(order.expires_at), created_by=by.actor.name, hint=key_format.hint(token),
            limits=order.limits, labels=order.labels,
        )  # fmt: skip
        await self._check(by.actor, record, set(order.model_fields_set))

        def work(connection: Connection) -> None:
            key_repository.add(connection, record)
            audit.write(connection, by, AuditAction.KEY_CREATED, record.id, now, _audit_detail(record))

        await self._store.change(work)
        return token, record

    async def update(self, by: AuditContext, key_id: str, change: KeyChange) -> KeyRecord:
        """Change a key that is not revoked; raises Problem."""
        before = await self._mutable(by.actor, key_id)
        given = {name: getattr(change, name) for name in change.model_fields_set}
        if "expires_at" in given:
            given["expires_at"] = _milliseconds(change.expires_at)
        if before.seeded and "scopes" in given:
            raise _managed_by_stack()
        after = replace(before, **given)
        await self._check(by.actor, after, set(given))
        columns = _columns(after, set(given))
        now = self._store.clock.now_ms()

        def work(connection: Connection) -> None:
            _change(connection, before, columns)
            detail = {name: value for name, value in _audit_detail(after).items() if name in given}
            audit.write(connection, by, AuditAction.KEY_UPDATED, key_id, now, detail)

        await self._store.change(work)
        return after

    async def rotate(self, by: AuditContext, key_id: str, overlap_seconds: int) -> tuple[str, KeyRecord]:
        """Give a key a new secret; the old one is accepted for `overlap_seconds`. Raises Problem."""
        before = await self._mutable(by.actor, key_id)
        if before.seeded:
            raise _managed_by_stack()
        token, now = key_format.mint(key_id), self._store.clock.now_ms()
        until = now + overlap_seconds * 1000
        after = replace(
            before, digest=self._store.digest(token), hint=key_format.hint(token), previous_digest=before.digest,
            previous_until=until,
        )  # fmt: skip
        columns = {name: getattr(after, name) for name in ("digest", "hint", "previous_digest", "previous_until")}

        def work(connection: Connection) -> None:
            _change(connection, before, columns)
            audit.write(connection, by, AuditAction.KEY_ROTATED, key_id, now, {"previous_until": until})

        await self._store.change(work)
        return token, after

    async def revoke(self, by: AuditContext, key_id: str) -> KeyRecord:
        """Revoke a key and everything opened with it, at once; does nothing for a revoked key. Raises Problem."""
        record, now = await self.show(by.actor, key_id), self._store.clock.now_ms()
        if record.revoked_at is not None:
            return record

        def work(connection: Connection) -> None:
            if key_repository.revoke(connection, key_id, now):
                audit.write(connection, by, AuditAction.KEY_REVOKED, key_id, now, {"name": record.name})

        await self._store.change(work)
        return replace(record, revoked_at=now)

    async def _mutable(self, actor: Actor, key_id: str) -> KeyRecord:
        """Return a key that is not revoked and has no scope that the caller lacks; raises Problem otherwise."""
        record = await self.show(actor, key_id)
        if record.revoked_at is not None:
            raise Problem(Code.STATE_CONFLICT, "The key is revoked; create a new one.")
        _check_scopes(actor, record)
        return record

    async def _check(self, actor: Actor, record: KeyRecord, given: set[str]) -> None:
        """Check a key before it is stored; `given` are the fields that the caller named. Raises Problem."""
        if record.expires_at is not None and record.expires_at <= self._store.clock.now_ms():
            raise _refused("expires_at", "it is in the past")
        _check_scopes(actor, record)
        if {"owner", "scopes"} & given:
            await self._check_owner(actor, record)
        if actor.is_admin:
            return
        if actor.expires_at is not None and (record.expires_at is None or record.expires_at > actor.expires_at):
            raise _more_than_own("expires_at", "your own key expires earlier")
        if "limits" in given:
            raise _more_than_own("limits", "only an admin may set them")
        if actor.limits != NOTHING:
            raise _more_than_own("limits", "your own key has limits, which a new key would evade; ask an admin")

    async def _check_owner(self, actor: Actor, record: KeyRecord) -> None:
        if not actor.is_admin and record.owner != actor.owner:
            raise _more_than_own("owner", "only an admin may create keys for other users")
        user = await self._store.user(record.owner)
        if user is None and record.owner == record.id:
            return
        if user is None or not user.is_active:
            raise _refused("owner", "no such user, or it is disabled; create it first with POST /api/gateway/users")
        if not expand(record.scopes) <= ROLES[user.role]:
            raise _refused("scopes", f"the role {user.role} of {record.owner} does not include all of them")


def _may_see(actor: Actor, record: KeyRecord) -> bool:
    return actor.is_admin or record.owner == actor.owner


def _check_scopes(actor: Actor, record: KeyRecord) -> None:
    if not expand(record.scopes) <= actor.scopes:
        raise _more_than_own("scopes", "you lack some of them yourself")


def _audit_detail(record: KeyRecord) -> dict[str, Any]:
    """Return a key's fields for the audit log."""
    return {
        "name": record.name, "owner": record.owner, "scopes": sorted(record.scopes), "expires_at": record.expires_at,
        "limits": record.limits.model_dump(mode="json", exclude_unset=True), "labels": dict(record.labels),
    }  # fmt: skip


def _columns(record: KeyRecord, names: set[str]) -> dict[str, Any]:
    stored = {
        "name": record.name, "owner": record.owner, "scopes": key_repository.scopes_text(record.scopes),
        "expires_at": record.expires_at, "limits": key_repository.limits_text(record.limits),
        "labels": orjson.dumps(dict(record.labels)),
    }  # fmt: skip
    return {name: stored[name] for name in names}


def _change(connection: Connection, before: KeyRecord, columns: dict[str, Any]) -> None:
    """Set columns of a key; raises Problem STATE_CONFLICT when it has changed in the meantime."""
    if columns and not key_repository.change(connection, before, columns):
        raise Problem(Code.STATE_CONFLICT, "The key changed in the meantime; fetch it again and retry.")


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _refused(member: str, why: str) -> Problem:
    return Problem(Code.INVALID_REQUEST, f"{member}: {why}.", members=fault(f"/{member}", why))


def _more_than_own(member: str, why: str) -> Problem:
    return Problem(Code.MORE_THAN_OWN, f"{member}: {why}.", members=fault(f"/{member}", why))


def _managed_by_stack() -> Problem:
    return Problem(
        Code.STATE_CONFLICT,
        "The stack manages this key, and the next start would undo the change; rotate it in the stack or revoke it.",
    )
