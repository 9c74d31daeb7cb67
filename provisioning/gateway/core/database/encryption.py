"""Encryption of columns at rest, so that a copy of the database reveals no prompts.

AES-256-GCM under a key derived by HKDF-SHA256 (RFC 5869) from a secret of the settings, with a fresh nonce of 96 bits
for each value (NIST SP 800-38D: up to 2^32 values under one key) and the column's name as associated data, so that a
value cannot be moved to another column. Rows written before the option was set stay readable; so do encrypted rows
after it is unset.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Dialect, LargeBinary, Text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeDecorator

MAGIC = b"\x00sealed1"
"""Prefix of every encrypted value; no JSON text begins with it."""

TEXT_MAGIC = "sealed1:"
ID_BYTES = 4
NONCE_BYTES = 12


class SealError(SQLAlchemyError):
    """An encrypted value cannot be decrypted with the secrets of the settings."""


class ColumnCipher:
    """Encrypts and decrypts values."""

    def __init__(self, secrets: Sequence[str], *, active: bool) -> None:
        """Take the current secret, followed by former ones that still decrypt; `active`: whether to encrypt."""
        self.active = active
        self._keys = {key_id: AESGCM(key) for key_id, key in map(_derive, secrets)}
        self._newest = next(iter(self._keys))

    def seal(self, value: bytes, purpose: str) -> bytes:
        """Encrypt a value, even when the option is off."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._newest].encrypt(nonce, value, purpose.encode())
        return MAGIC + self._newest + nonce + sealed

    def open(self, stored: bytes, purpose: str) -> bytes:
        """Return the plain value of a stored one, encrypted or not; raises SealError."""
        if not stored.startswith(MAGIC):
            return stored
        rest = stored[len(MAGIC) :]
        key = self._keys.get(rest[:ID_BYTES])
        nonce, sealed = rest[ID_BYTES : ID_BYTES + NONCE_BYTES], rest[ID_BYTES + NONCE_BYTES :]
        if key is None:
            raise SealError("a value is encrypted under another key; give the former one in former_encryption_keys")
        try:
            return key.decrypt(nonce, sealed, purpose.encode())
        except InvalidTag as error:
            raise SealError(
                f"an encrypted value of {purpose} was modified; restore the database from a backup"
            ) from error


def _derive(secret: str) -> tuple[bytes, bytes]:
    """Return a key's id and the key."""
    derived = HKDF(SHA256(), ID_BYTES + 32, salt=None, info=b"comfyui-runpod gateway: sealed columns 1")
    both = derived.derive(secret.encode())
    return both[:ID_BYTES], both[ID_BYTES:]


_CIPHERS: WeakKeyDictionary[Dialect, ColumnCipher] = WeakKeyDictionary()
"""The cipher of each engine: column types are declared once for all engines, but each engine has its own dialect."""


def use(dialect: Dialect, cipher: ColumnCipher) -> None:
    """Set the cipher for the encrypted columns of an engine."""
    _CIPHERS[dialect] = cipher


class Sealed(TypeDecorator[bytes]):
    """A column of bytes, encrypted at rest when the option is on; it cannot be searched."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, purpose: str) -> None:
        """Take the column's full name."""
        super().__init__()
        self.purpose = purpose

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Return what is stored."""
        cipher = _CIPHERS[dialect]
        # Text with the magic of encrypted values is always encrypted, since it could not be read back otherwise.
        if value is None or not (cipher.active or value.startswith(MAGIC)):
            return value
        return cipher.seal(value, self.purpose)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> bytes | None:  # noqa: ANN401 - SQLAlchemy's
        """Return what was sealed."""
        return None if value is None else _CIPHERS[dialect].open(bytes(value), self.purpose)


class SealedText(TypeDecorator[str]):
    """Text, likewise."""

    impl = Text
    cache_ok = True

    def __init__(self, purpose: str) -> None:
        """Take the column's full name."""
        super().__init__()
        self.purpose = purpose

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what is stored."""
        cipher = _CIPHERS[dialect]
        if value is None or not (cipher.active or value.startswith(TEXT_MAGIC)):
            return value
        return TEXT_MAGIC + base64.b64encode(cipher.seal(value.encode(), self.purpose)).decode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ANN401 - SQLAlchemy's
        """Return what was sealed."""
        if value is None or not value.startswith(TEXT_MAGIC):
            return value
        return _CIPHERS[dialect].open(base64.b64decode(value[len(TEXT_MAGIC) :]), self.purpose).decode()
