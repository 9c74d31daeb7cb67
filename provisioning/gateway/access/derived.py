"""Keys for one purpose each, all from the one secret that the stack makes."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LENGTH = 32
"""Bytes: what HMAC-SHA256 makes full use of."""


def derived(pepper: str, purpose: str) -> bytes:
    """Return the key for a purpose, by HKDF-SHA256 (RFC 5869); one that leaks tells nothing of the others."""
    return HKDF(SHA256(), LENGTH, salt=None, info=f"comfyui-runpod gateway: {purpose}".encode()).derive(pepper.encode())
