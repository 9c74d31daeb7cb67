"""Secrets and signatures of the Standard Webhooks scheme: HMAC-SHA256 over id, time and body, in base64."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
SECRET_BYTES = 32
"""The specification allows 24 to 64."""


def mint() -> str:
    """Return a new secret in the form that receivers' libraries expect."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(signers: Iterable[str], message_id: str, now_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers; with two secrets there are two signatures, either of which a receiver may verify."""
    signed = f"{message_id}.{now_s}.".encode() + body
    signatures = [_signature(secret, signed) for secret in signers]
    return {"webhook-id": message_id, "webhook-timestamp": str(now_s), "webhook-signature": " ".join(signatures)}


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
