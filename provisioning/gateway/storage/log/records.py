"""The form of a log file: a head, then records; each carries a keyed digest of itself and of all before it.

A tail that was torn by a crash is known by its digest and cut. Nobody can take a record out, change the order, or put
a record of another log in, without the key.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from provisioning.gateway.storage.log.keys import Keys

MAGIC = b"gwlog-1\n"
DIGEST_BYTES = 16
_HEAD = struct.Struct(f">8sIQ4s{DIGEST_BYTES}s")
"""Magic, epoch, generation, the key's id, and the last digest of the generation before."""
_RECORD = struct.Struct(f">IQ{DIGEST_BYTES}s")
"""Length of the content, its place in the WAL file, digest."""

HEAD_BYTES = _HEAD.size + DIGEST_BYTES
START = bytes(DIGEST_BYTES)
"""The digest before the first generation of an epoch."""


class DamagedError(Exception):
    """A file of the log is not what was written; the text names it."""


@dataclass
class Chain:
    """The digest so far, from which the next record's is made."""

    key: bytes
    digest: bytes

    def record(self, start: int, content: bytes) -> bytes:
        """Return a record with its digest, which becomes the chain's."""
        self.digest = self.next(start, content)
        return _RECORD.pack(len(content), start, self.digest) + content

    def next(self, start: int, content: bytes) -> bytes:
        """Return the digest of a record that comes next."""
        seal = hashlib.blake2b(self.digest, key=self.key, digest_size=DIGEST_BYTES)
        seal.update(struct.pack(">IQ", len(content), start))
        seal.update(content)
        return seal.digest()


def head(keys: Keys, epoch: int, generation: int, previous: bytes) -> tuple[bytes, Chain]:
    """Return what a log file begins with, and the chain of its records."""
    begin = _HEAD.pack(MAGIC, epoch, generation, keys.newest_id, previous)
    digest = hashlib.blake2b(begin, key=keys.newest, digest_size=DIGEST_BYTES).digest()
    return begin + digest, Chain(keys.newest, digest)


class Reader:
    """Reads one log file, up to its torn tail if it has one."""

    def __init__(self, file: BinaryIO, path: Path, keys: Keys) -> None:
        """Read the head; raises DamagedError, UnknownKeyError.

        A file without a whole head holds nothing: it was torn before its first record was acknowledged.
        """
        self._file = file
        self.is_empty = False
        self.is_torn = False
        self.previous = START
        self.digest = START
        self._chain = Chain(b"", START)
        begin, digest = file.read(_HEAD.size), file.read(DIGEST_BYTES)
        if len(begin) + len(digest) < HEAD_BYTES or not any(begin):
            self.is_empty = True
            return
        magic, _, _, key_id, self.previous = _HEAD.unpack(begin)
        if magic != MAGIC:
            raise DamagedError(f"{path}: not a log of a gateway")
        key = keys.find(key_id)
        if hashlib.blake2b(begin, key=key, digest_size=DIGEST_BYTES).digest() != digest:
            raise DamagedError(f"{path}: its head was changed")
        self._chain = Chain(key, digest)
        self.digest = digest

    def contents(self) -> Iterator[tuple[int, bytes]]:
        """Yield every whole record's place in the WAL file and its content."""
        while not self.is_empty and (found := self._next()) is not None:
            yield found

    def _next(self) -> tuple[int, bytes] | None:
        begin = self._file.read(_RECORD.size)
        if not begin:
            return None
        self.is_torn = True
        if len(begin) < _RECORD.size:
            return None
        length, start, digest = _RECORD.unpack(begin)
        content = self._file.read(length)
        if len(content) < length or self._chain.next(start, content) != digest:
            return None
        self.is_torn = False
        self._chain.digest = self.digest = digest
        return start, content
