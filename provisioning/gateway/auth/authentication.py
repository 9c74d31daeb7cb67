"""Authentication: a request carries exactly one credential, of a kind that its operation accepts."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from urllib.parse import parse_qsl

from starlette.types import Scope

from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.auth.signed_urls import SIGNATURE, UrlSigner
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http import request_checks
from provisioning.gateway.core.http.headers import by_name, single_header
from provisioning.gateway.core.http.operation import CredentialPolicy
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.sessions import cookies, tokens
from provisioning.gateway.sessions.service import SessionService
from provisioning.gateway.sessions.tickets import PARAMETER, Tickets

_CREDENTIALS = frozenset({"authorization", "x-api-key"})
_BEARER = re.compile(r"bearer ([\x21-\x7e]+)", re.IGNORECASE | re.ASCII)
_KEY_NAMES = frozenset({"token", "key", "api_key", "apikey", "api-key", "x-api-key", "access_token", "authorization"})
_KEY_VALUES = re.compile(r"cgw_live_|cgs_|^(?:bearer )?eyJ[\w-]+\.eyJ[\w-]+\.", re.IGNORECASE)


class Authenticator:
    """Finds the caller of a request by its credential."""

    def __init__(self, store: KeyStore, sessions: SessionService, tickets: Tickets, signer: UrlSigner) -> None:
        self._store = store
        self._sessions = sessions
        self._tickets = tickets
        self._signer = signer

    async def authenticate(self, scope: Scope, path: str, credentials: CredentialPolicy) -> Actor:
        """Return the caller; raises Problem unless the request carries exactly one valid credential."""
        query = _read_query(scope) if scope.get("query_string") else {}
        headers = by_name(scope)
        given = _CREDENTIALS.intersection(headers)
        signed = credentials.signed and SIGNATURE in query
        if len(given) + signed + (PARAMETER in query) > 1 or None in map(headers.get, given):
            # Two parsers of such a request could each accept another credential.
            raise Problem(
                Code.INVALID_REQUEST, "Send exactly one credential.", members=fault("authorization", "more than one")
            )
        if given:
            return await self._from_header(headers)
        if signed or PARAMETER in query:
            return await self._from_query(scope, path, query)
        if credentials.web and (secret := cookies.read(scope)) is not None:
            _check_same_site(scope)
            return await self._sessions.find(secret)
        raise Problem(Code.MISSING_CREDENTIALS)

    async def recheck(self, actor: Actor) -> None:
        """Check an authenticated caller again; raises Problem when its credential is no longer accepted."""
        await self._store.resolve(actor.reference)
        if actor.expires_at is not None and actor.expires_at <= self._store.clock.now_ms():
            raise Problem(Code.KEY_REVOKED)

    def _from_header(self, headers: Mapping[str, bytes | None]) -> Awaitable[Actor]:
        if (key := headers.get("x-api-key")) is not None:
            return self._store.find(key.decode("latin-1"))
        match = _BEARER.fullmatch((headers["authorization"] or b"").decode("latin-1"))
        if match is None:
            raise Problem(Code.MISSING_CREDENTIALS)
        if tokens.looks_like_token(match[1]):
            return self._sessions.find_by_token(match[1])
        return self._store.find(match[1])

    async def _from_query(self, scope: Scope, path: str, query: Mapping[str, str]) -> Actor:
        if scope.get("method", "GET") not in request_checks.SAFE_METHODS:
            raise Problem(Code.INVALID_TICKET)
        if PARAMETER in query:
            return await self._tickets.spend(query[PARAMETER], path)
        return await self._signer.check(path, query)


def is_signed(scope: Scope) -> bool:
    """Return whether a request's URL is signed."""
    return f"{SIGNATURE}=".encode() in scope.get("query_string", b"")


def _read_query(scope: Scope) -> dict[str, str]:
    """Return the query parameters that may hold a credential; raises Problem KEY_IN_URL."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if any(name.lower() in _KEY_NAMES or _KEY_VALUES.search(value) for name, value in pairs):
        raise Problem(Code.KEY_IN_URL)
    return dict(pairs)


def _check_same_site(scope: Scope) -> None:
    """Refuse a cookie in a request that another site made; raises Problem ORIGIN_NOT_ALLOWED.

    Every browser that supports SameSite sends Sec-Fetch-Site, and Origin with requests that change something. The value
    of Origin is checked by admission.check_origin.
    """
    changes = scope["type"] == "websocket" or scope["method"] not in request_checks.SAFE_METHODS
    if changes and single_header(scope, "origin") is None:
        raise Problem(Code.ORIGIN_NOT_ALLOWED)
    if single_header(scope, "sec-fetch-site") not in {None, "same-origin", "none"}:
        raise Problem(Code.ORIGIN_NOT_ALLOWED)
