"""The operations on keys."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.accounts.records import KeyRecord
from provisioning.gateway.admin.audit_context import context_of
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.operation import Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.schemas import page_of
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.keys.schemas import IssuedKey, Key, KeyChange, KeyPage, KeyQuery, NewKey, Rotation
from provisioning.gateway.keys.service import KeyService

KEY: dict[str, Any] = {
    "id": "4fPq9sZ1",
    "name": "discord bot",
    "hint": "cgw_live_4fPq9sZ1...Ab3x",
    "state": "active",
    "scopes": ["client"],
    "owner": "discord",
    "labels": {"team": "community"},
    "limits": {
        "requests_per_minute": 120, "submits_per_minute": None, "uploads_per_minute": None, "max_requests": None,
        "max_streams": None, "max_queued": None, "quotas": {"jobs": {"day": 100}},
    },
    "managed_by": "gateway",
    "created_at": "2026-11-22T08:00:00Z",
    "created_by": "admin",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": "2026-11-22T09:15:00Z",
    "previous_until": None,
}  # fmt: skip
ISSUED = {**KEY, "key": "cgw_live_4fPq9sZ1" + "x" * 32 + "1aAb3x"}
ID = Parameter("id", "A key's id: the 8 characters after `cgw_live_`.", "4fPq9sZ1", "path", required=True)


class KeyRoutes:
    """Lets callers manage the keys that they may see."""

    def __init__(self, keys: KeyService, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    @Operation(
        method="POST",
        path="/api/gateway/keys",
        access=Scope.KEYS,
        tag=Tag.ACCESS,
        summary="Issue a key",
        text="A key cannot have scopes that its creator lacks, nor outlive the creator's key. Only an admin sets "
        "`owner` and `limits`.",
        body=Body(
            NewKey,
            {"name": "discord bot", "scopes": ["client"], "limits": {"max_queued": 20}},
            invalid=Code.INVALID_REQUEST,
        ),
        answers=(Answer("The key; its secret is shown only once.", IssuedKey, ISSUED, 201),),
        problems=(Code.MORE_THAN_OWN,),
    )
    async def create(self, request: GatewayRequest, body: NewKey) -> IssuedKey:
        """Issue a key and show its secret, once."""
        token, record = await self._keys.create(context_of(request), body)
        return IssuedKey.issued(token, record, self._clock.now_ms())

    @Operation(
        method="GET",
        path="/api/gateway/keys",
        access=Scope.KEYS,
        tag=Tag.ACCESS,
        summary="List keys",
        text="Lists the keys of the caller's user; for an admin, all keys. Revoked and expired keys are included.",
        query=KeyQuery,
        answers=(Answer("A page of keys, newest first.", KeyPage, {"items": [KEY], "next_cursor": None}),),
    )
    async def list(self, request: GatewayRequest, query: KeyQuery) -> KeyPage:
        """List the keys of the caller's user, or all keys for an admin, newest first."""
        records = await self._keys.list(request.who, query.owner, query.state)
        chosen, cursor = page_of([(record.id, record) for record in records], query)
        return KeyPage(items=[self._shown(record) for record in chosen], next_cursor=cursor)

    @Operation(
        method="GET",
        path="/api/gateway/keys/{id}",
        access=Scope.KEYS,
        tag=Tag.ACCESS,
        summary="Show a key",
        parameters=(ID,),
        answers=(Answer("The key, without its secret.", Key, KEY),),
    )
    async def show(self, request: GatewayRequest) -> Key:
        """Show one key."""
        return self._shown(await self._keys.show(request.who, request.path_params["id"]))

    @Operation(
        method="PATCH",
        path="/api/gateway/keys/{id}",
        access=Scope.KEYS,
        tag=Tag.ACCESS,
        summary="Change a key",
        text="Fields that are left out do not change; `labels` and `limits` are replaced as a whole.",
        parameters=(ID,),
        body=Body(
            KeyChange,
            {"name": "discord bot, Europe", "expires_at": "2027-01-31T00:00:00Z"},
            invalid=Code.INVALID_REQUEST,
        ),
        answers=(Answer("The changed key; the change takes effect at once.", Key, KEY),),
        problems=(Code.MORE_THAN_OWN, Code.STATE_CONFLICT),
    )
    async def update(self, request: GatewayRequest, body: KeyChange) -> Key:
        """Change a key's name, labels, scopes, limits, expiry or owner."""
        return self._shown(await self._keys.update(context_of(request), request.path_params["id"], body))

    @Operation(
        method="POST",
        path="/api/gateway/keys/{id}/rotate",
        access=Scope.KEYS,
        tag=Tag.ACCESS,
        summary="Rotate a key",
        text="Gives the key a new secret; its id, jobs and usage stay. The old secret is accepted for "
        "`overlap_seconds` (a day by default; 0 refuses it at once). Older secrets are refused.",
        parameters=(ID,),
        body=Body(Rotation, {"overlap_seconds": 3600}, invalid=Code.INVALID_REQUEST),
        answers=(
            Answer(
                "The key; its new secret is shown only once.",
                IssuedKey,
                {**ISSUED, "previous_until": "2026-11-23T08:00:00Z"},
            ),
        ),
        problems=(Code.MORE_THAN_OWN, Code.STATE_CONFLICT),
    )
    async def rotate(self, request: GatewayRequest, body: Rotation) -> IssuedKey:
        """Give a key a new secret and show it, once."""
        token, record = await self._keys.rotate(context_of(request), request.path_params["id"], body.overlap_seconds)
        return IssuedKey.issued(token, record, self._clock.now_ms())

    @Operation(
        method="POST",
        path="/api/gateway/keys/{id}/revoke",
        access=Scope.KEYS,
        tag=Tag.ACCESS,
        summary="Revoke a key",
        text="Takes effect at once, also for the key's streams, sessions, tickets and signed URLs; on other gateways "
        "with the same database within half a second.",
        parameters=(ID,),
        answers=(
            Answer(
                "The revoked key.",
                Key,
                {**KEY, "state": "revoked", "revoked_at": "2026-11-22T10:00:00Z"},
            ),
        ),
    )
    async def revoke(self, request: GatewayRequest) -> Key:
        """Revoke a key at once."""
        return self._shown(await self._keys.revoke(context_of(request), request.path_params["id"]))

    def _shown(self, record: KeyRecord) -> Key:
        return Key.of(record, self._clock.now_ms())
