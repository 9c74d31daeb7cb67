"""JSON Web Tokens for people who logged in: short-lived, ours alone, and worth nothing once their session ends."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Code, Problem

ALGORITHM = "HS256"
ISSUER = "comfyui-gateway"
AUDIENCE = "comfyui-gateway-api"
SECONDS = 15 * 60
"""How long one token lives; the session behind it goes on, and gives a new one for the asking."""

_FORM = re.compile(r"(?=.{1,1024}$)[\w-]+\.[\w-]+\.[\w-]{43}", re.ASCII)
"""Ours have some 300 characters; what is longer, padded or signed otherwise is not even read."""
_HEADER = {"alg": ALGORITHM, "typ": "JWT"}
_CLAIMS = ["iss", "aud", "sub", "sid", "jti", "iat", "exp"]


@dataclass(frozen=True)
class Claims:
    """What a token that was not forged says; whether its session still lives is for others to look up."""

    session_id: str
    user: str
    expires_at: int
    """Milliseconds since the epoch."""


class Tokens:
    """Makes and reads tokens."""

    def __init__(self, pepper: str, clock: Clock) -> None:
        self._key = signing_key(pepper)
        self._clock = clock

    def issue(self, user: str, session_id: str, session_end: int) -> tuple[str, Claims]:
        """Return a token for a session that ends at `session_end` (milliseconds), and what it says."""
        now = self._clock.now_ms() // 1000
        expires = min(now + SECONDS, session_end // 1000)
        body = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": user, "sid": session_id, "jti": uuid.uuid4().hex, "iat": now,
            "exp": expires,
        }  # fmt: skip
        return jwt.encode(body, self._key, ALGORITHM, _HEADER), Claims(session_id, user, expires * 1000)

    def read(self, token: str) -> Claims:
        """Return what a token says; raises Problem INVALID_TOKEN or TOKEN_EXPIRED.

        The header must be the one that we write: no other algorithm, no key from anywhere else, no extension.
        """
        try:
            if not _FORM.fullmatch(token) or jwt.get_unverified_header(token) != _HEADER:
                raise Problem(Code.INVALID_TOKEN)
            body = self._verified(token)
        except jwt.PyJWTError as error:
            raise Problem(Code.INVALID_TOKEN) from error
        session_id, user, expires = body["sid"], body["sub"], body["exp"]
        if not (isinstance(session_id, str) and isinstance(user, str) and type(expires) is int):
            raise Problem(Code.INVALID_TOKEN)
        # By our own clock, which tests can move; and exactly, since we made the token ourselves.
        if expires * 1000 <= self._clock.now_ms():
            raise Problem(Code.TOKEN_EXPIRED)
        return Claims(session_id, user, expires * 1000)

    def _verified(self, token: str) -> dict[str, object]:
        return jwt.decode(
            token, self._key, [ALGORITHM], audience=AUDIENCE, issuer=ISSUER,
            options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )  # fmt: skip


def looks_like_one(text: str) -> bool:
    """Return whether a bearer credential is meant as one of these, and not as an API key."""
    return text.count(".") == 2


def signing_key(pepper: str) -> bytes:
    """Return the key of tokens, by HKDF-SHA256 (RFC 5869): one that leaks tells nothing of the stack's secret."""
    return HKDF(SHA256(), 32, salt=None, info=b"comfyui-runpod gateway: tokens of people 1").derive(pepper.encode())
