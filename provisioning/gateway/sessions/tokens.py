"""JSON Web Tokens of people who logged in: short-lived, for this gateway only, and invalid once their session ends."""

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
"""How long a token is valid; during its session it can be renewed."""

_FORM = re.compile(r"(?=.{1,1024}$)[\w-]+\.[\w-]+\.[\w-]{43}", re.ASCII)
"""This gateway's tokens have about 300 characters; longer, padded or differently signed ones are not parsed."""
_HEADER = {"alg": ALGORITHM, "typ": "JWT"}
_CLAIMS = ["iss", "aud", "sub", "sid", "jti", "iat", "exp"]


@dataclass(frozen=True)
class Claims:
    """The claims of a token with a valid signature; the caller checks whether its session is still active."""

    session_id: str
    user: str
    expires_at: int
    """Milliseconds since the epoch."""


class AccessTokens:
    """Issues and verifies access tokens."""

    def __init__(self, pepper: str, clock: Clock) -> None:
        self._key = signing_key(pepper)
        self._clock = clock

    def issue(self, user: str, session_id: str, session_end: int) -> tuple[str, Claims]:
        """Return a token for a session that ends at `session_end` (milliseconds since the epoch), and its claims."""
        now = self._clock.now_ms() // 1000
        expires = min(now + SECONDS, session_end // 1000)
        body = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": user, "sid": session_id, "jti": uuid.uuid4().hex, "iat": now,
            "exp": expires,
        }  # fmt: skip
        return jwt.encode(body, self._key, ALGORITHM, _HEADER), Claims(session_id, user, expires * 1000)

    def read(self, token: str) -> Claims:
        """Verify a token and return its claims; raises Problem INVALID_TOKEN or TOKEN_EXPIRED.

        The header must equal the one that `issue` writes: no other algorithm, no key reference, no extension.
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
        # Checked with the gateway's clock, which tests can move; without leeway, since the issuer has the same clock.
        if expires * 1000 <= self._clock.now_ms():
            raise Problem(Code.TOKEN_EXPIRED)
        return Claims(session_id, user, expires * 1000)

    def _verified(self, token: str) -> dict[str, object]:
        return jwt.decode(
            token, self._key, [ALGORITHM], audience=AUDIENCE, issuer=ISSUER,
            options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )  # fmt: skip


def looks_like_token(text: str) -> bool:
    """Return whether a bearer credential has the form of a token, not of an API key."""
    return text.count(".") == 2


def signing_key(pepper: str) -> bytes:
    """Return the signing key, derived by HKDF-SHA256 (RFC 5869): a leaked one does not reveal the stack's secret."""
    return HKDF(SHA256(), 32, salt=None, info=b"comfyui-runpod gateway: tokens of people 1").derive(pepper.encode())
