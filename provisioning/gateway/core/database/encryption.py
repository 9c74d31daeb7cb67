"""Columns that are encrypted at rest: what people ask of ComfyUI is nobody's to read in a copy of the file.

AES-256-GCM under a key derived by HKDF-SHA256 (RFC 5869) from a secret of the settings, a fresh nonce of 96 bits each
time (NIST SP 800-38D: up to 2^32 values under one key), the column's name as associated data, so that a value is of no
use in another column. Rows written before the option was set stay readable, and so do sealed ones after it is unset.
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
"""Begins every sealed value; JSON never begins so."""

TEXT_MAGIC = "sealed1:"
ID_BYTES = 4
NONCE_BYTES = 12


class SealError(SQLAlchemyError):
    """A sealed value cannot be opened with the secrets of the settings."""


class ColumnCipher:
    """Seals and opens values."""

    def __init__(self, secrets: Sequence[str], *, active: bool) -> None:
        """Take the secret that seals, followed by former ones that still open; `active`: whether anything is sealed."""
        self.active = active
        self._keys = {key_id: AESGCM(key) for key_id, key in map(_derive, secrets)}
        self._newest = next(iter(self._keys))

    def seal(self, value: bytes, purpose: str) -> bytes:
        """Return a value encrypted, whether the option is on or not."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._newest].encrypt(nonce, value, purpose.encode())
        return MAGIC + self._newest + nonce + sealed

    def open(self, stored: bytes, purpose: str) -> bytes:
        """Return a value that was stored, sealed or not; raises SealError."""
        if not stored.startswith(MAGIC):
            return stored
        rest = stored[len(MAGIC) :]
        key = self._keys.get(rest[:ID_BYTES])
        nonce, sealed = rest[ID_BYTES : ID_BYTES + NONCE_BYTES], rest[ID_BYTES + NONCE_BYTES :]
        if key is None:
            raise SealError("a value is sealed under another key; give the former one in former_encryption_keys")
        try:
            return key.decrypt(nonce, sealed, purpose.encode())
        except InvalidTag as error:
            raise SealError(f"a sealed value of {purpose} was changed; restore the database from a backup") from error


def _derive(secret: str) -> tuple[bytes, bytes]:
    """Return the name of a key and the key itself."""
    derived = HKDF(SHA256(), ID_BYTES + 32, salt=None, info=b"comfyui-runpod gateway: sealed columns 1")
    both = derived.derive(secret.encode())
    return both[:ID_BYTES], both[ID_BYTES:]


_CIPHERS: WeakKeyDictionary[Dialect, ColumnCipher] = WeakKeyDictionary()
"""A column's type is declared once and serves many engines; each engine has a dialect object of its own."""


def use(dialect: Dialect, cipher: ColumnCipher) -> None:
    """Have an engine's sealed columns go through a cipher."""
    _CIPHERS[dialect] = cipher


class Sealed(TypeDecorator[bytes]):
    """Bytes that are encrypted at rest when the option is on; such a column cannot be searched."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, purpose: str) -> None:
        """Take the column's full name."""
        super().__init__()
        self.purpose = purpose

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Return what is stored."""
        cipher = _CIPHERS[dialect]
        # What looks sealed is sealed also when the option is off: nobody may hand in what cannot be read back.
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
