"""The keys of the log's checksums: whoever has none of the gateway's secrets cannot write a log that it believes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

ID_BYTES = 4
_PURPOSE = b"gateway log 1"


class UnknownKeyError(Exception):
    """A file was written under a secret that is not here."""


class ChecksumKeys:
    """The key that is used for writing, and those that are accepted when reading."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Take the secret of today, followed by former ones."""
        known = [hashlib.blake2b(secret.encode(), person=_PURPOSE, digest_size=32).digest() for secret in secrets]
        self._by_id = {_id(key): key for key in known}
        self.newest = known[0]
        self.newest_id = _id(known[0])

    @property
    def ids(self) -> list[bytes]:
        """The keys' ids, that of today's first."""
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
