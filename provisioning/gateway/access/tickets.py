"""Tickets: for the few things a browser opens without headers, such as a WebSocket or an EventSource.

A ticket opens one path by GET, once, within half a minute. It says itself what it is for and is signed; the database
keeps only those that were spent, so that of several gateways on one database exactly one lets a ticket in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, delete

from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.derived import derived
from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.access.tables import SpentTicketRow
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.storage import statements

PREFIX = "cgt_"
SECONDS = 30
MAX_LENGTH = 2048
_DIGEST_BYTES = 32


class _Claims(NamedTuple):
    id: str
    by: str
    path: str
    expires_at: int


class Tickets:
    """Gives tickets out and takes them."""

    def __init__(self, pepper: str, store: KeyStore) -> None:
        self._key = derived(pepper, "tickets 1")
        self._store = store

    def issue(self, actor: Actor, path: str) -> tuple[str, int]:
        """Return a ticket for one GET of a path, and when it ends in milliseconds."""
        expires_at = self._store.clock.now_ms() + SECONDS * 1000
        body = orjson.dumps([secrets.token_hex(16), actor.reference, path, expires_at])
        return PREFIX + _encoded(self._digest(body) + body), expires_at

    async def spend(self, ticket: str, path: str) -> Actor:
        """Return whose ticket for `path` this is, and make it worthless; raises Problem INVALID_TICKET."""
        claims = self._read(ticket)
        if claims.path != path or claims.expires_at <= self._store.clock.now_ms():
            raise Problem(Code.INVALID_TICKET)
        actor = await self._store.living(claims.by)
        if actor is None or not await self._store.database.run(lambda connection: _spend(connection, claims)):
            raise Problem(Code.INVALID_TICKET)
        return actor

    def _read(self, ticket: str) -> _Claims:
        text = ticket.removeprefix(PREFIX)
        if text == ticket or len(ticket) > MAX_LENGTH:
            raise Problem(Code.INVALID_TICKET)
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise Problem(Code.INVALID_TICKET) from error
        if _encoded(data) != text:
            raise Problem(Code.INVALID_TICKET)
        digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if not hmac.compare_digest(digest, self._digest(body)):
            raise Problem(Code.INVALID_TICKET)
        return _Claims(*orjson.loads(body))

    def _digest(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _spend(connection: Connection, claims: _Claims) -> bool:
    """Write a ticket down as spent; False when it was already."""
    # Those that ended cannot be used again, whether they are remembered or not.
    connection.execute(delete(SpentTicketRow).where(SpentTicketRow.expires_at < claims.expires_at - SECONDS * 2000))
    return statements.add_new(connection, SpentTicketRow, {"id": claims.id, "expires_at": claims.expires_at})
