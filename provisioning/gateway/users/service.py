"""Creating, changing and deleting users."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection

from provisioning.gateway.accounts import key_repository, session_repository, user_repository
from provisioning.gateway.accounts.records import UserRecord
from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.admin import audit
from provisioning.gateway.admin.audit import AuditAction, AuditContext
from provisioning.gateway.core.passwords import Passwords
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.users.schemas import NewUser, PasswordChange, UserChange


class UserService:
    """Creates, changes and deletes users for admins, and sets callers' own passwords."""

    def __init__(self, store: KeyStore, passwords: Passwords) -> None:
        self._store = store
        self._passwords = passwords

    async def show(self, name: str) -> UserRecord:
        """Return a user; raises Problem NOT_FOUND."""
        user = await self._store.user(name)
        if user is None or user.deleted_at is not None:
            raise Problem(Code.NOT_FOUND)
        return user

    async def list(self) -> list[UserRecord]:
        """Return all users except deleted ones, newest first."""
        return [user for user in reversed(await self._store.users()) if user.deleted_at is None]

    async def create(self, by: AuditContext, order: NewUser) -> UserRecord:
        """Create a user; raises Problem STATE_CONFLICT when the name is or was in use."""
        now = self._store.clock.now_ms()
        password = await self._passwords.hash(order.password.get_secret_value()) if order.password else None
        user = UserRecord(
            order.name, order.role, now, password, now if password else None, limits=order.limits, labels=order.labels
        )
        # A key without a user is its own owner: a user named like the key's id would get its jobs and files.
        if any(record.owner == order.name for record in await self._store.records()):
            raise _name_in_use()

        def work(connection: Connection) -> None:
            if not user_repository.add(connection, user):
                raise _name_in_use()
            audit.write(connection, by, AuditAction.USER_CREATED, user.name, now, _audit_detail(user))

        await self._store.change(work)
        return user

    async def update(self, by: AuditContext, name: str, change: UserChange) -> UserRecord:
        """Change a user; disabling it ends its sessions and refuses its keys at once. Raises Problem."""
        before, now, given = await self.show(name), self._store.clock.now_ms(), change.model_fields_set
        after = replace(before, **{field: getattr(change, field) for field in given - {"password", "disabled"}})
        if "disabled" in given:
            after = replace(after, disabled_at=(before.disabled_at or now) if change.disabled else None)
        if "password" in given:
            secret = change.password.get_secret_value() if change.password else None
            after = replace(after, password=await self._passwords.hash(secret) if secret else None, password_at=now)
        if name == by.actor.owner and (not after.is_active or after.role is not before.role):
            raise _own_rights()

        def work(connection: Connection) -> None:
            user_repository.change(connection, name, _columns(after))
            if not after.is_active:
                session_repository.end_all_of(connection, name, now)
            detail = {field: value for field, value in _audit_detail(after).items() if field in given}
            audit.write(connection, by, AuditAction.USER_UPDATED, name, now, detail | _password_detail(given))

        await self._store.change(work)
        return after

    async def set_own_password(self, by: AuditContext, order: PasswordChange) -> None:
        """Change the caller's own password, which ends all earlier sessions; raises Problem INVALID_LOGIN."""
        user, now = await self._store.user(by.actor.owner), self._store.clock.now_ms()
        stored = user.password if user is not None and by.actor.session_id is not None else None
        if not await self._passwords.check(stored, order.current.get_secret_value()):
            raise Problem(Code.INVALID_LOGIN)
        columns = {"password": await self._passwords.hash(order.new.get_secret_value()), "password_at": now}

        def work(connection: Connection) -> None:
            user_repository.change(connection, by.actor.owner, columns)
            audit.write(connection, by, AuditAction.PASSWORD_CHANGED, by.actor.owner, now, {})

        await self._store.change(work)

    async def delete(self, by: AuditContext, name: str) -> None:
        """Delete a user, its sessions and its keys; jobs, files, usage and the name stay. Raises Problem."""
        await self.show(name)
        if name == by.actor.owner:
            raise _own_rights()
        now = self._store.clock.now_ms()

        def work(connection: Connection) -> None:
            user_repository.change(connection, name, {"deleted_at": now, "password": None, "password_at": now})
            key_repository.revoke_all_of(connection, name, now)
            session_repository.end_all_of(connection, name, now)
            audit.write(connection, by, AuditAction.USER_DELETED, name, now, {})

        await self._store.change(work)


def _audit_detail(user: UserRecord) -> dict[str, Any]:
    """Return a user's fields for the audit log."""
    return {
        "role": user.role.value, "disabled": user.disabled_at is not None, "labels": dict(user.labels),
        "limits": user.limits.model_dump(mode="json", exclude_unset=True),
    }  # fmt: skip


def _password_detail(given: set[str]) -> dict[str, Any]:
    return {"password": "changed"} if "password" in given else {}


def _columns(user: UserRecord) -> dict[str, Any]:
    return {
        "role": user.role.value, "password": user.password, "password_at": user.password_at,
        "limits": key_repository.limits_text(user.limits), "labels": orjson.dumps(dict(user.labels)),
        "disabled_at": user.disabled_at,
    }  # fmt: skip


def _name_in_use() -> Problem:
    return Problem(
        Code.STATE_CONFLICT,
        "This name is in use, or was a deleted user's and still owns jobs; choose another.",
        members=fault("/name", "in use"),
    )


def _own_rights() -> Problem:
    return Problem(Code.STATE_CONFLICT, "You cannot remove your own rights; ask another admin.")
