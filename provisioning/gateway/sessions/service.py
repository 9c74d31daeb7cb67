"""Sessions: of people who log in with a password, and of keys that log in at the login page; each is a database row.

Tokens and cookies name that row, which is looked up in memory at every request: logging out, disabling a user, changing
a password and revoking a key therefore invalidate them at once.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from provisioning.gateway.accounts import key_format, session_repository
from provisioning.gateway.accounts.records import SessionRecord
from provisioning.gateway.accounts.store import KeyStore, actor_of_user
from provisioning.gateway.admin import audit
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.passwords import Passwords
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.time_units import HOUR_MS
from provisioning.gateway.sessions.tokens import AccessTokens, Claims

PREFIX = "cgs_"
ID_PREFIX = "ses_"
ID_LENGTH = 16

_FORM = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})[0-9A-Za-z]{{{key_format.SECRET_LENGTH}}}", re.ASCII)


@dataclass(frozen=True)
class NewSession:
    """A session that was just opened."""

    actor: Actor
    session: SessionRecord
    secret: str
    """The cookie's secret, which is not stored."""


class SessionService:
    """Opens, finds and ends sessions."""

    def __init__(self, store: KeyStore, passwords: Passwords, tokens: AccessTokens, hours: float) -> None:
        self._store = store
        self._passwords = passwords
        self._tokens = tokens
        self._clock = store.clock
        self._milliseconds = round(hours * HOUR_MS)

    async def open_person(self, name: str, password: str, address: str, request_id: str) -> NewSession:
        """Log a person in; raises Problem INVALID_LOGIN, without a reason, whether or not the user exists."""
        user = await self._store.user(name)
        stored = user.password if user is not None and user.is_active else None
        if not await self._passwords.check(stored, password) or user is None:
            raise Problem(Code.INVALID_LOGIN)
        actor = actor_of_user(user)
        return await self._open(actor, address, request_id, user=name)

    async def open_key(self, token: str, address: str, request_id: str) -> NewSession:
        """Log in with a key; raises Problem as any request with that key does."""
        actor = await self._store.find(token)
        proof = self._store.digest(token)
        return await self._open(actor, address, request_id, key_id=actor.key_id, proof=proof)

    async def _open(
        self, actor: Actor, address: str, request_id: str, user: str | None = None, key_id: str | None = None,
        proof: bytes | None = None,
    ) -> NewSession:  # fmt: skip
        now, name = self._clock.now_ms(), _random(ID_LENGTH)
        secret = f"{PREFIX}{name}{_random(key_format.SECRET_LENGTH)}"
        ends = min(now + self._milliseconds, actor.expires_at or now + self._milliseconds)
        digest = self._store.digest(secret)
        session = SessionRecord(ID_PREFIX + name, user, key_id, proof, digest, address, now, ends)
        by = audit.AuditContext(actor, address, request_id)

        def work(connection: Connection) -> None:
            session_repository.add(connection, session, now)
            audit.write(connection, by, audit.AuditAction.LOGGED_IN, session.id, now, {"until": ends})

        await self._store.change(work)
        return NewSession(replace(actor, session_id=session.id), session, secret)

    async def find(self, secret: str) -> Actor:
        """Return the caller whose session a cookie names; raises Problem SESSION_ENDED."""
        match = _FORM.fullmatch(secret)
        session = await self._store.session(ID_PREFIX + match[1]) if match else None
        given = self._store.digest(secret)
        if not hmac.compare_digest(given, session.digest if session else bytes(len(given))) or session is None:
            raise Problem(Code.SESSION_ENDED)
        return await self._actor(session.id)

    async def find_by_token(self, token: str) -> Actor:
        """Return the caller that a token names; raises Problem INVALID_TOKEN, TOKEN_EXPIRED or SESSION_ENDED."""
        claims = self._tokens.read(token)
        actor = await self._actor(claims.session_id)
        if actor.owner != claims.user:
            raise Problem(Code.INVALID_TOKEN)
        return actor

    async def _actor(self, session_id: str) -> Actor:
        actor = await self._store.resolve_or_none(session_id)
        if actor is None:
            raise Problem(Code.SESSION_ENDED)
        return actor

    async def token(self, actor: Actor) -> tuple[str, Claims, SessionRecord]:
        """Return a new token, its claims and its session; raises Problem NO_SESSION for a caller with a key."""
        session = await self._store.session(actor.session_id or "")
        if session is None or session.user is None:
            raise Problem(Code.NO_SESSION)
        return *self._tokens.issue(session.user, session.id, session.expires_at), session

    async def end(self, by: audit.AuditContext) -> None:
        """End the caller's session; raises Problem NO_SESSION for a caller with a key."""
        session_id, now = by.actor.session_id, self._clock.now_ms()
        if session_id is None:
            raise Problem(Code.NO_SESSION)

        def work(connection: Connection) -> None:
            session_repository.end(connection, session_id, now)
            audit.write(connection, by, audit.AuditAction.LOGGED_OUT, session_id, now, {})

        await self._store.change(work)


def _random(length: int) -> str:
    return "".join(secrets.choice(key_format.ALPHABET) for _ in range(length))
