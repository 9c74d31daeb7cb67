"""Tickets: for the few things a browser opens without headers, such as a WebSocket or an EventSource.

A ticket opens one path by GET, once, within half a minute. It says itself what it is for and is signed; the database
keeps only those that were spent, so that of several gateways on one database exactly one lets a ticket in.
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
    """Gives tickets out and takes them."""

    def __init__(self, pepper: str, store: KeyStore) -> None:
        self._serializer = URLSafeSerializer(
            pepper, salt="tickets", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
        )
        self._store = store

    def issue(self, actor: Actor, path: str) -> tuple[str, int]:
        """Return a ticket for one GET of a path, and when it ends in milliseconds."""
        expires_at = self._store.clock.now_ms() + SECONDS * 1000
        claims = _Claims(secrets.token_hex(16), actor.reference, path, expires_at)
        return PREFIX + str(self._serializer.dumps(claims)), expires_at

    async def spend(self, ticket: str, path: str) -> Actor:
        """Return the owner of this ticket for `path` and invalidate it; raises Problem INVALID_TICKET."""
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
    """Write a ticket down as spent; False when it was already."""
    # Those that ended cannot be used again, whether they are remembered or not.
    connection.execute(delete(SpentTicketRow).where(SpentTicketRow.expires_at < claims.expires_at - SECONDS * 2000))
    return sql_helpers.add_new(connection, SpentTicketRow, {"id": claims.id, "expires_at": claims.expires_at})
