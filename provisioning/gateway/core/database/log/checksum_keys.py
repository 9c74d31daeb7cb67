"""The keys of the log's checksums: without the gateway's secrets no accepted log can be forged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

ID_BYTES = 4
_PURPOSE = b"gateway log 1"


class UnknownKeyError(Exception):
    """A file was written under a secret that the settings lack."""


class ChecksumKeys:
    """The key for writing, and the keys that are accepted when reading."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Take the current secret, followed by former ones."""
        known = [hashlib.blake2b(secret.encode(), person=_PURPOSE, digest_size=32).digest() for secret in secrets]
        self._by_id = {_id(key): key for key in known}
        self.newest = known[0]
        self.newest_id = _id(known[0])

    @property
    def ids(self) -> list[bytes]:
        """The ids of the keys, the current one first."""
        return list(self._by_id)

    def find(self, key_id: bytes) -> bytes:
        """Return a key by its id; raises UnknownKeyError."""
        try:
            return self._by_id[key_id]
        except KeyError:
            raise UnknownKeyError(
                "it was written under another pepper; give the former one in former_encryption_keys"
            ) from None


def _id(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=ID_BYTES).digest()
