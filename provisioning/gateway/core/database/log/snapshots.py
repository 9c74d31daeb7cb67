"""Snapshots of the whole database on the volume, each with a keyed digest of its content."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys
from provisioning.gateway.core.database.log.records import DamagedFileError
from provisioning.gateway.core.database.log.volume_files import VolumeFiles

MAGIC = b"gwsnap1\n"
_HEAD = struct.Struct(">8sQ4s")
"""Magic, length of the database file, the key's id."""
DIGEST_BYTES = 32
CHUNK_BYTES = 1024 * 1024


def write(volume: VolumeFiles, path: Path, keys: ChecksumKeys, size: int, pieces: Iterator[bytes]) -> None:
    """Write a snapshot atomically and durably; raises OSError."""
    draft = path.with_name(f"{path.name}.part")
    descriptor = volume.open(draft)
    try:
        os.ftruncate(descriptor, 0)
        _write(volume, descriptor, _HEAD.pack(MAGIC, size, keys.newest_id), keys.newest, pieces)
        volume.sync(descriptor)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    finally:
        os.close(descriptor)
    draft.replace(path)
    volume.sync_folder(path.parent)


def _write(volume: VolumeFiles, descriptor: int, head: bytes, key: bytes, pieces: Iterator[bytes]) -> None:
    seal = hashlib.blake2b(head, key=key, digest_size=DIGEST_BYTES)
    volume.write(descriptor, head, 0)
    offset = len(head)
    for piece in pieces:
        seal.update(piece)
        volume.write(descriptor, piece, offset)
        offset += len(piece)
    volume.write(descriptor, seal.digest(), offset)


def read(path: Path, keys: ChecksumKeys, target: Path) -> None:
    """Write the database of a snapshot to a file; raises DamagedFileError, UnknownKeyError, OSError."""
    with path.open("rb") as source, target.open("wb") as copy:
        head = source.read(_HEAD.size)
        if len(head) < _HEAD.size or not head.startswith(MAGIC):
            raise DamagedFileError(f"{path}: not a snapshot of a gateway's database")
        _, size, key_id = _HEAD.unpack(head)
        seal = hashlib.blake2b(head, key=keys.find(key_id), digest_size=DIGEST_BYTES)
        _read(source, copy, size, seal)
        if source.read(DIGEST_BYTES) != seal.digest():
            raise DamagedFileError(f"{path}: modified since it was written")


def _read(source: BinaryIO, copy: BinaryIO, size: int, seal: hashlib.blake2b) -> None:
    while size and (piece := source.read(min(CHUNK_BYTES, size))):
        seal.update(piece)
        copy.write(piece)
        size -= len(piece)
