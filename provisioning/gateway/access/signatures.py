"""Signed addresses of files: whoever has one can fetch that one file for a while, and nothing else.

For `<img>` and for handing a picture on, where no header can be sent. What is signed is the whole address and whose it
is; the signer's key is looked up again each time, so that revoking it ends its addresses too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode

from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.derived import derived
from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.problems import Code, Problem

MAX_SECONDS = 3600
SIGNATURE = "signature"
OWN = frozenset({"by", "expires", SIGNATURE})
"""The query parameters that signing adds."""


class Signatures:
    """Signs addresses and checks them."""

    def __init__(self, pepper: str, store: KeyStore) -> None:
        self._key = derived(pepper, "signed addresses 1")
        self._store = store

    def sign(self, actor: Actor, path: str, query: Mapping[str, str], seconds: int) -> tuple[str, int]:
        """Return the address, relative to the gateway's, and when it ends in milliseconds."""
        expires = self._store.clock.now_ms() // 1000 + seconds
        full = {name: value for name, value in query.items() if name not in OWN}
        full |= {"by": actor.reference, "expires": str(expires)}
        return f"{path}?{urlencode(full | {SIGNATURE: self._signature(actor.owner, path, full)})}", expires * 1000

    async def check(self, path: str, query: Mapping[str, str]) -> Actor:
        """Return who signed a GET of this address; raises Problem SIGNATURE_INVALID or SIGNATURE_EXPIRED."""
        expires = query.get("expires", "")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            raise Problem(Code.SIGNATURE_INVALID)
        actor = await self._store.living(query.get("by", ""))
        signed = {name: value for name, value in query.items() if name != SIGNATURE}
        right = self._signature(actor.owner if actor else "", path, signed)
        # Compared in both cases: the time taken must not tell which keys exist.
        if not hmac.compare_digest(right.encode(), query.get(SIGNATURE, "").encode()) or actor is None:
            raise Problem(Code.SIGNATURE_INVALID)
        if int(expires) * 1000 <= self._store.clock.now_ms():
            raise Problem(Code.SIGNATURE_EXPIRED)
        return actor

    def _signature(self, owner: str, path: str, query: Mapping[str, str]) -> str:
        text = "\n".join(("GET", path, urlencode(sorted(query.items())), owner))
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
