"""The format of a log file: a head, then records; each has a keyed digest of itself and of all records before it.

A tail torn by a crash is recognised by its digest and cut off. Each record is synced before the next one is written, so
that a damaged record before intact ones is not a torn tail: it was acknowledged. Without the key, records cannot be
removed, reordered or inserted from another log.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys

MAGIC = b"gwlog-1\n"
DIGEST_BYTES = 16
_HEAD = struct.Struct(f">8sIQ4s{DIGEST_BYTES}s")
"""Magic, epoch, generation, the key's id, and the last digest of the generation before."""
_RECORD = struct.Struct(f">IQ{DIGEST_BYTES}s")
"""Length of the content, its place in the WAL file, digest."""

HEAD_BYTES = _HEAD.size + DIGEST_BYTES
START = bytes(DIGEST_BYTES)
"""The digest before the first generation of an epoch."""


class DamagedFileError(Exception):
    """A file of the log is damaged; the message names it."""


@dataclass
class Chain:
    """The running digest, from which the next record's digest is derived."""

    key: bytes
    digest: bytes

    def record(self, start: int, content: bytes) -> bytes:
        """Return a record with its digest, and advance the chain to it."""
        self.digest = self.next(start, content)
        return _RECORD.pack(len(content), start, self.digest) + content

    def next(self, start: int, content: bytes) -> bytes:
        """Return the digest of a following record."""
        seal = hashlib.blake2b(self.digest, key=self.key, digest_size=DIGEST_BYTES)
        seal.update(struct.pack(">IQ", len(content), start))
        seal.update(content)
        return seal.digest()


def head(keys: ChecksumKeys, epoch: int, generation: int, previous: bytes) -> tuple[bytes, Chain]:
    """Return the head of a log file and the chain for its records."""
    begin = _HEAD.pack(MAGIC, epoch, generation, keys.newest_id, previous)
    digest = hashlib.blake2b(begin, key=keys.newest, digest_size=DIGEST_BYTES).digest()
    return begin + digest, Chain(keys.newest, digest)


class Reader:
    """Reads a log file up to its torn tail, if any."""

    def __init__(self, file: BinaryIO, path: Path, keys: ChecksumKeys, *, to_damage: bool = False) -> None:
        """Read the head; raises DamagedFileError, UnknownKeyError.

        A file with an incomplete head is empty: it was torn before its first record was acknowledged. With `to_damage`,
        a damaged record ends the file like a torn tail.
        """
        self._file = file
        self._path = path
        self._to_damage = to_damage
        self.is_empty = False
        self.is_torn = False
        self.previous = START
        self.digest = START
        self._chain = Chain(keys.newest, START)
        self._end = 0
        """End of the last intact record, in the WAL file."""
        begin, digest = file.read(_HEAD.size), file.read(DIGEST_BYTES)
        if len(begin) + len(digest) < HEAD_BYTES or not any(begin):
            self._check_tail(b"", HEAD_BYTES)
            self.is_empty = True
            return
        magic, _, _, key_id, self.previous = _HEAD.unpack(begin)
        if magic != MAGIC:
            raise DamagedFileError(f"{path}: not a log of a gateway")
        key = keys.find(key_id)
        if hashlib.blake2b(begin, key=key, digest_size=DIGEST_BYTES).digest() != digest:
            raise DamagedFileError(f"{path}: its head was modified")
        self._chain = Chain(key, digest)
        self.digest = digest

    def contents(self) -> Iterator[tuple[int, bytes]]:
        """Yield the offset in the WAL file and the content of every intact record; raises DamagedFileError."""
        while not self.is_empty and (found := self._next()) is not None:
            yield found

    def _next(self) -> tuple[int, bytes] | None:
        at = self._file.tell()
        begin = self._file.read(_RECORD.size)
        if not begin:
            return None
        length, start, digest = _RECORD.unpack(begin) if len(begin) == _RECORD.size else (0, 0, b"")
        content = self._file.read(length)
        if len(begin) < _RECORD.size or len(content) < length or self._chain.next(start, content) != digest:
            self.is_torn = True
            self._check_tail(begin + content, at)
            return None
        self._chain.digest = self.digest = digest
        self._end = start + length
        return start, content

    def _check_tail(self, begin: bytes, at: int) -> None:
        """Raise DamagedFileError when intact records follow offset `at`."""
        tail = begin + self._file.read()
        if not self._to_damage and is_followed(tail, self._chain, self._end):
            raise DamagedFileError(f"{self._path}: damaged at byte {at}, before acknowledged changes")


def is_followed(tail: bytes, chain: Chain, end: int) -> bool:
    """Return whether an intact record follows the damaged one at the beginning of a tail.

    Args:
        tail: The rest of the file.
        chain: Holds the key and the digest before the damaged record.
        end: End of the last intact record in the WAL file; later records begin at or after it.
    """
    before = set(_possible_digests(tail, chain))
    for at in _like_heads(tail):
        first = _record(tail, at, end)
        if first is None:
            continue
        # The candidate follows the damaged record directly, or two intact records follow each other.
        if at and any(_is_whole(chain.key, digest, first) for digest in before):
            return True
        second = _record(tail, first.after, first.start + len(first.content))
        if second is not None and _is_whole(chain.key, first.digest, second):
            return True
    return False


class _Found(NamedTuple):
    start: int
    content: bytes
    digest: bytes
    after: int
    """Offset of the next record in the tail."""


_ZEROS = re.compile(rb"\x00{4,}")


def _like_heads(tail: bytes) -> Iterator[int]:
    """Yield possible starts of records: a length above zero, then an offset below 4 GiB: four zero bytes."""
    for zeros in _ZEROS.finditer(tail):
        for at in range(max(0, zeros.start() - 4), zeros.start()):
            if at + 8 <= zeros.end():
                yield at


def _record(tail: bytes, at: int, end: int) -> _Found | None:
    """Return the bytes at `at` as a record, if they have the form of one whose WAL offset is `end` or later."""
    if len(tail) - at < _RECORD.size:
        return None
    length, start, digest = _RECORD.unpack_from(tail, at)
    after = at + _RECORD.size + length
    if not length or start < end or after > len(tail):
        return None
    return _Found(start, tail[at + _RECORD.size : after], digest, after)


def _possible_digests(tail: bytes, chain: Chain) -> Iterator[bytes]:
    """Yield the digest in the damaged record, and the one it should have if only the digest is damaged."""
    if len(tail) >= _RECORD.size:
        yield _RECORD.unpack_from(tail)[2]
    if (found := _record(tail, 0, 0)) is not None:
        yield chain.next(found.start, found.content)


def _is_whole(key: bytes, before: bytes, found: _Found) -> bool:
    return Chain(key, before).next(found.start, found.content) == found.digest
