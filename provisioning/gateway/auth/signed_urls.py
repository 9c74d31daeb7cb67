"""Signed URLs of files: each opens one file for a limited time.

For `<img>` and for sharing an image, where no header can be sent. The signature covers the whole URL and its owner. The
signer's key is looked up at every request, so that revoking it invalidates its URLs. The time of expiry is a parameter
of the URL, since each URL has its own; itsdangerous's timed signatures contain the time of signing only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import urlencode

from itsdangerous import Signer

from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.problems import Code, Problem

MAX_SECONDS = 3600
SIGNATURE = "signature"
OWN = frozenset({"by", "expires", SIGNATURE})
"""The query parameters that signing adds."""


class UrlSigner:
    """Signs URLs of files and checks the signatures."""

    def __init__(self, pepper: str, store: KeyStore) -> None:
        self._signer = Signer(pepper, salt="signed addresses", key_derivation="hmac", digest_method=hashlib.sha256)
        self._store = store

    def sign(self, actor: Actor, path: str, query: Mapping[str, str], seconds: int) -> tuple[str, int]:
        """Return the URL, relative to the gateway's, and when it expires in milliseconds since the epoch."""
        expires = self._store.clock.now_ms() // 1000 + seconds
        full = {name: value for name, value in query.items() if name not in OWN}
        full |= {"by": actor.reference, "expires": str(expires)}
        signature = self._signer.get_signature(_text(actor.owner, path, full)).decode()
        return f"{path}?{urlencode(full | {SIGNATURE: signature})}", expires * 1000

    async def check(self, path: str, query: Mapping[str, str]) -> Actor:
        """Return the signer of this URL, for a GET; raises Problem SIGNATURE_INVALID or SIGNATURE_EXPIRED."""
        expires = query.get("expires", "")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            raise Problem(Code.SIGNATURE_INVALID)
        actor = await self._store.resolve_or_none(query.get("by", ""))
        signed = {name: value for name, value in query.items() if name != SIGNATURE}
        text = _text(actor.owner if actor else "", path, signed)
        # Compared in both cases: timing must not reveal which keys exist.
        if not self._signer.verify_signature(text, query.get(SIGNATURE, "")) or actor is None:
            raise Problem(Code.SIGNATURE_INVALID)
        if int(expires) * 1000 <= self._store.clock.now_ms():
            raise Problem(Code.SIGNATURE_EXPIRED)
        return actor


def _text(owner: str, path: str, query: Mapping[str, str]) -> str:
    return "\n".join(("GET", path, urlencode(sorted(query.items())), owner))
