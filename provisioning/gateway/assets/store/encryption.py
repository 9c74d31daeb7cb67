"""Encryption of stored files at rest, in chunks, so that any range can be read without the rest.

A file has a header of 32 bytes (magic, key id, salt) and chunks of 64 KiB, each with a tag of 16 bytes. AES-256-GCM
under a key per file: HKDF-SHA256 (RFC 5869) of a secret of the settings and the salt. A chunk's nonce is its number and
whether it is the last (the STREAM construction, Hoang et al. 2015), so that moved, removed or added chunks are
detected. The associated data is the file's path, so that one file cannot replace another.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from provisioning.gateway.assets.store.paths import StorePath

MAGIC = b"\x00sealedfile1"
ID_BYTES = 4
SALT_BYTES = 16
HEADER_BYTES = len(MAGIC) + ID_BYTES + SALT_BYTES
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES


class FileSealError(Exception):
    """An encrypted file cannot be decrypted with the secrets of the settings, or was modified."""


class Seal:
    """Encrypts and decrypts the chunks of one file."""

    def __init__(self, header: bytes, key: bytes, place: StorePath) -> None:
        self.header = header
        self._cipher = AESGCM(key)
        self._place = f"{place.folder}/{place.path}"

    def seal(self, number: int, chunk: bytes, *, last: bool) -> bytes:
        """Return an encrypted chunk."""
        return self._cipher.encrypt(_nonce(number, last), chunk, self._place.encode())

    def open(self, number: int, stored: bytes, *, last: bool) -> bytes:
        """Return a decrypted chunk; raises FileSealError."""
        try:
            return self._cipher.decrypt(_nonce(number, last), stored, self._place.encode())
        except InvalidTag as error:
            text = f"{self._place}: the file was modified (chunk {number}); restore it from a backup"
            raise FileSealError(text) from error


class FileCipher:
    """Creates the ciphers of single files."""

    def __init__(self, secrets: Sequence[str], *, active: bool) -> None:
        """Take the current secret, followed by former ones that still decrypt; `active`: whether to encrypt files."""
        self.active = active
        self._secrets = {_derive(secret, ID_BYTES, b"name"): secret for secret in reversed(secrets)}
        self._newest = _derive(secrets[0], ID_BYTES, b"name")

    def fresh(self, place: StorePath) -> Seal:
        """Return the cipher of a new file."""
        return self._seal(self._newest, os.urandom(SALT_BYTES), place)

    def of(self, header: bytes, place: StorePath) -> Seal:
        """Return the cipher of a file with this header; raises FileSealError when its key is unknown."""
        key_id, salt = header[len(MAGIC) : -SALT_BYTES], header[-SALT_BYTES:]
        if len(header) != HEADER_BYTES or key_id not in self._secrets:
            text = f"{place.folder}/{place.path}: encrypted under another key; give it in former_encryption_keys"
            raise FileSealError(text)
        return self._seal(key_id, salt, place)

    def _seal(self, key_id: bytes, salt: bytes, place: StorePath) -> Seal:
        return Seal(MAGIC + key_id + salt, _derive(self._secrets[key_id], 32, salt), place)


def plain_bytes(stored_bytes: int) -> int:
    """Return the decrypted length of an encrypted file; raises FileSealError when it is too short."""
    chunks = -(-(stored_bytes - HEADER_BYTES) // SEALED_CHUNK_BYTES)
    size = stored_bytes - HEADER_BYTES - chunks * TAG_BYTES
    if chunks < 1 or size < 0:
        raise FileSealError("an encrypted file was truncated; restore it from a backup")
    return size


def _nonce(number: int, last: bool) -> bytes:  # noqa: FBT001 - a part of the nonce
    return number.to_bytes(11) + bytes([last])


def _derive(secret: str, length: int, salt: bytes) -> bytes:
    info = b"comfyui-runpod gateway: sealed files 1"
    return HKDF(SHA256(), length, salt=salt, info=info).derive(secret.encode())
