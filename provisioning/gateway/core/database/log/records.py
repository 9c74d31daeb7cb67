"""The form of a log file: a head, then records; each carries a keyed digest of itself and of all before it.

A tail that was torn by a crash is known by its digest and cut. Each record is on the volume before the next one is
written, so a damaged record before whole ones is no such tail: it was acknowledged. Nobody can take a record out,
change the order, or put a record of another log in, without the key.
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


def head(keys: ChecksumKeys, epoch: int, generation: int, previous: bytes) -> tuple[bytes, Chain]:
    """Return what a log file begins with, and the chain of its records."""
    begin = _HEAD.pack(MAGIC, epoch, generation, keys.newest_id, previous)
    digest = hashlib.blake2b(begin, key=keys.newest, digest_size=DIGEST_BYTES).digest()
    return begin + digest, Chain(keys.newest, digest)


class Reader:
    """Reads one log file, up to its torn tail if it has one."""

    def __init__(self, file: BinaryIO, path: Path, keys: ChecksumKeys, *, to_damage: bool = False) -> None:
        """Read the head; raises DamagedError, UnknownKeyError.

        A file without a whole head holds nothing: it was torn before its first record was acknowledged. With
        `to_damage` a damaged record ends the file as a torn tail does.
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
        """Of the last whole record, in the WAL file."""
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
            raise DamagedFileError(f"{path}: its head was changed")
        self._chain = Chain(key, digest)
        self.digest = digest

    def contents(self) -> Iterator[tuple[int, bytes]]:
        """Yield every whole record's place in the WAL file and its content; raises DamagedError."""
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
        """Raise DamagedError when whole records follow what was read from there."""
        tail = begin + self._file.read()
        if not self._to_damage and is_followed(tail, self._chain, self._end):
            raise DamagedFileError(f"{self._path}: it is damaged at byte {at}, before changes that were acknowledged")


def is_followed(tail: bytes, chain: Chain, end: int) -> bool:
    """Say whether a whole record comes after the damaged one with which a tail begins.

    Args:
        tail: The rest of the file.
        chain: With the key, and the digest before the damaged record.
        end: Where the last whole record ends in the WAL file: later ones begin there or behind it.
    """
    before = set(_possible_digests(tail, chain))
    for at in _like_heads(tail):
        first = _record(tail, at, end)
        if first is None:
            continue
        # Either the record before it is the damaged one, or it is the damaged one, or whole and one of a pair.
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
    """Where the next one begins in the tail."""


_ZEROS = re.compile(rb"\x00{4,}")


def _like_heads(tail: bytes) -> Iterator[int]:
    """Yield where a record may begin: its length is not zero, and a place below 4 GiB begins with four zero bytes."""
    for zeros in _ZEROS.finditer(tail):
        for at in range(max(0, zeros.start() - 4), zeros.start()):
            if at + 8 <= zeros.end():
                yield at


def _record(tail: bytes, at: int, end: int) -> _Found | None:
    """Return what is at a place if it has a record's form and begins, in the WAL file, at `end` or behind it."""
    if len(tail) - at < _RECORD.size:
        return None
    length, start, digest = _RECORD.unpack_from(tail, at)
    after = at + _RECORD.size + length
    if not length or start < end or after > len(tail):
        return None
    return _Found(start, tail[at + _RECORD.size : after], digest, after)


def _possible_digests(tail: bytes, chain: Chain) -> Iterator[bytes]:
    """Yield the digest that the damaged record names, and the one that it should name if that alone is damaged."""
    if len(tail) >= _RECORD.size:
        yield _RECORD.unpack_from(tail)[2]
    if (found := _record(tail, 0, 0)) is not None:
        yield chain.next(found.start, found.content)


def _is_whole(key: bytes, before: bytes, found: _Found) -> bool:
    return Chain(key, before).next(found.start, found.content) == found.digest
