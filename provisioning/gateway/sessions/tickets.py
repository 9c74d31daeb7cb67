"""Tickets: for requests in which a browser cannot send headers, such as a WebSocket or an EventSource.

A ticket authenticates one GET of one path, once, within SECONDS. It is signed and contains its claims; the database
stores only used tickets, so that of several gateways on one database exactly one accepts a ticket.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Connection, delete

from provisioning.gateway.accounts.session_tables import SpentTicketRow
from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.problems import Code, Problem

PREFIX = "cgt_"
SECONDS = 30
PARAMETER = "ticket"
"""The query parameter that carries a ticket."""
MAX_LENGTH = 2048


class _Claims(NamedTuple):
    id: str
    by: str
    path: str
    expires_at: int


class Tickets:
    """Issues tickets and redeems them."""

    def __init__(self, pepper: str, store: KeyStore) -> None:
        self._serializer = URLSafeSerializer(
            pepper, salt="tickets", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
        )
        self._store = store

    def issue(self, actor: Actor, path: str) -> tuple[str, int]:
        """Return a ticket for one GET of a path, and when it expires in milliseconds since the epoch."""
        expires_at = self._store.clock.now_ms() + SECONDS * 1000
        claims = _Claims(secrets.token_hex(16), actor.reference, path, expires_at)
        return PREFIX + str(self._serializer.dumps(claims)), expires_at

    async def spend(self, ticket: str, path: str) -> Actor:
        """Redeem a ticket for `path` and return its owner; raises Problem INVALID_TICKET."""
        claims = self._read(ticket)
        if claims.path != path or claims.expires_at <= self._store.clock.now_ms():
            raise Problem(Code.INVALID_TICKET)
        actor = await self._store.resolve_or_none(claims.by)
        if actor is None or not await self._store.database.run(lambda connection: _spend(connection, claims)):
            raise Problem(Code.INVALID_TICKET)
        return actor

    def _read(self, ticket: str) -> _Claims:
        text = ticket.removeprefix(PREFIX)
        if text == ticket or len(ticket) > MAX_LENGTH:
            raise Problem(Code.INVALID_TICKET)
        try:
            return _Claims(*self._serializer.loads(text))
        except BadData as error:
            raise Problem(Code.INVALID_TICKET) from error


def _spend(connection: Connection, claims: _Claims) -> bool:
    """Record a ticket as used; False when it was used before."""
    # Expired tickets are refused anyway, so their rows can go.
    connection.execute(delete(SpentTicketRow).where(SpentTicketRow.expires_at < claims.expires_at - SECONDS * 2000))
    return sql_helpers.add_new(connection, SpentTicketRow, {"id": claims.id, "expires_at": claims.expires_at})
