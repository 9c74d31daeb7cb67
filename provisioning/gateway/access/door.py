"""By which credential a caller comes in: exactly one, of a kind that the route takes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from provisioning.gateway.access import admission, cookies, tokens
from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.access.sessions import Sessions
from provisioning.gateway.access.signatures import SIGNATURE, Signatures
from provisioning.gateway.access.tickets import Tickets
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.web.exchange import Scope, by_name, single_header

TICKET = "ticket"

_CREDENTIALS = frozenset({"authorization", "x-api-key"})
_BEARER = re.compile(r"bearer ([\x21-\x7e]+)", re.IGNORECASE | re.ASCII)
_KEY_NAMES = frozenset({"token", "key", "api_key", "apikey", "api-key", "x-api-key", "access_token", "authorization"})
_KEY_VALUES = re.compile(r"cgw_live_|cgs_|^(?:bearer )?eyJ[\w-]+\.eyJ[\w-]+\.", re.IGNORECASE)


@dataclass(frozen=True)
class Way:
    """What a route takes beside a key or a token in a header."""

    web: bool = False
    """The cookie of a browser's session."""
    signed: bool = False
    """A signature in the address."""


PLAIN = Way()


class Door:
    """Lets callers in."""

    def __init__(self, store: KeyStore, sessions: Sessions, tickets: Tickets, signatures: Signatures) -> None:
        self._store = store
        self._sessions = sessions
        self._tickets = tickets
        self._signatures = signatures

    async def enter(self, scope: Scope, path: str, way: Way) -> Actor:
        """Return the caller; raises Problem unless exactly one well-formed credential that lives came."""
        query = _read_query(scope) if scope.get("query_string") else {}
        headers = by_name(scope)
        given = _CREDENTIALS.intersection(headers)
        signed = way.signed and SIGNATURE in query
        if len(given) + signed + (TICKET in query) > 1 or None in map(headers.get, given):
            # Two readers of such a request could each believe another one.
            raise Problem(Code.INVALID_REQUEST, "Send one credential.", members=fault("authorization", "more than one"))
        if given:
            return await self._of_header(headers)
        if signed or TICKET in query:
            return await self._of_address(scope, path, query)
        if way.web and (secret := cookies.read(scope)) is not None:
            _check_page(scope)
            return await self._sessions.find(secret)
        raise Problem(Code.MISSING_CREDENTIALS)

    async def check(self, actor: Actor) -> None:
        """Look again at a caller who came in before, by whatever way; raises Problem once it may no longer be here."""
        await self._store.named(actor.reference)
        if actor.expires_at is not None and actor.expires_at <= self._store.clock.now_ms():
            raise Problem(Code.KEY_REVOKED)

    def _of_header(self, headers: Mapping[str, bytes | None]) -> Awaitable[Actor]:
        if (key := headers.get("x-api-key")) is not None:
            return self._store.find(key.decode("latin-1"))
        match = _BEARER.fullmatch((headers["authorization"] or b"").decode("latin-1"))
        if match is None:
            raise Problem(Code.MISSING_CREDENTIALS)
        if tokens.looks_like_one(match[1]):
            return self._sessions.of_token(match[1])
        return self._store.find(match[1])

    async def _of_address(self, scope: Scope, path: str, query: Mapping[str, str]) -> Actor:
        if scope.get("method", "GET") not in admission.SAFE_METHODS:
            raise Problem(Code.INVALID_TICKET)
        if TICKET in query:
            return await self._tickets.spend(query[TICKET], path)
        return await self._signatures.check(path, query)


def is_signed(scope: Scope) -> bool:
    """Return whether a request's address carries a signature."""
    return f"{SIGNATURE}=".encode() in scope.get("query_string", b"")


def _read_query(scope: Scope) -> dict[str, str]:
    """Return the query as far as it can be read, for credentials alone; raises Problem KEY_IN_URL."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if any(name.lower() in _KEY_NAMES or _KEY_VALUES.search(value) for name, value in pairs):
        raise Problem(Code.KEY_IN_URL)
    return dict(pairs)


def _check_page(scope: Scope) -> None:
    """Refuse a cookie that another site had the browser send; raises Problem ORIGIN_NOT_ALLOWED.

    What a page asks for comes with Sec-Fetch-Site, and what changes something with Origin as well, in every browser
    that knows SameSite; whose origin it is, admission.check_origin looks at.
    """
    changes = scope["type"] == "websocket" or scope["method"] not in admission.SAFE_METHODS
    if changes and single_header(scope, "origin") is None:
        raise Problem(Code.ORIGIN_NOT_ALLOWED)
    if single_header(scope, "sec-fetch-site") not in {None, "same-origin", "none"}:
        raise Problem(Code.ORIGIN_NOT_ALLOWED)
