"""An open file of the store; every method blocks on the volume and must not be called on the event loop."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from provisioning.gateway.assets.store.encryption import (
    CHUNK_BYTES,
    HEADER_BYTES,
    MAGIC,
    SEALED_CHUNK_BYTES,
    FileCipher,
    FileSealError,
    Seal,
    plain_bytes,
)
from provisioning.gateway.assets.store.paths import StorePath

PIECE_BYTES = 256 * 1024
"""Bytes per read; a multiple of the chunks of encrypted files."""


ATTEMPTS = 3
PAUSE_SECONDS = 0.05

Result = TypeVar("Result")


def retried(work: Callable[[], Result]) -> Result:
    """Return the result of a read from the volume, with retries of I/O errors, common on network volumes."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return work()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        time.sleep(PAUSE_SECONDS * 2**attempt)
    return work()


class Content:
    """The content of a file when it was opened, even if the file is replaced or deleted meanwhile."""

    def __init__(self, path: Path, place: StorePath, cipher: FileCipher) -> None:
        """Open a file; raises OSError, and FileSealError for a truncated encrypted file."""
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(self._descriptor)
            self.modified_ns = found.st_mtime_ns
            self.stored_bytes = found.st_size
            self._seal = self._read_seal(place, cipher)
            self.size = plain_bytes(found.st_size) if self._seal else found.st_size
            if self._seal is not None:
                # The last chunk is marked as the last: a truncated file is detected before it is used.
                self.read(max(0, self.size - 1), 1)
            self.head = self.read(0, PIECE_BYTES)
            """The first bytes; the whole of a small file."""
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        # The caller may have stopped waiting for a stalled volume and never have received this object.
        self.close()

    @property
    def tag(self) -> str:
        """Return the entity tag, in the format of ComfyUI's own server."""
        return f'"{self.modified_ns:x}-{self.size:x}"'

    def read(self, start: int, length: int) -> bytes:
        """Return a part of the content, shorter at its end; raises OSError, FileSealError."""
        if self._seal is None:
            return self._stored(start, min(length, max(0, self.size - start)))
        end = min(start + length, self.size)
        if start >= end and self.size:
            return b""
        first, final = start // CHUNK_BYTES, max(0, end - 1) // CHUNK_BYTES
        opened = b"".join(self._chunks(self._seal, first, final))
        return opened[start - first * CHUNK_BYTES : end - first * CHUNK_BYTES]

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read_seal(self, place: StorePath, cipher: FileCipher) -> Seal | None:
        header = self._stored(0, min(HEADER_BYTES, self.stored_bytes))
        return cipher.of(header, place) if header.startswith(MAGIC) else None

    def _chunks(self, seal: Seal, first: int, final: int) -> list[bytes]:
        last = max(0, self.size - 1) // CHUNK_BYTES
        start = HEADER_BYTES + first * SEALED_CHUNK_BYTES
        end = min(HEADER_BYTES + (final + 1) * SEALED_CHUNK_BYTES, self.stored_bytes)
        stored = self._stored(start, end - start)
        parts = [stored[at : at + SEALED_CHUNK_BYTES] for at in range(0, len(stored), SEALED_CHUNK_BYTES)]
        return [seal.open(number, part, last=number == last) for number, part in enumerate(parts, first)]

    def _stored(self, start: int, length: int) -> bytes:
        pieces = []
        while length > 0:
            piece = retried(partial(os.pread, self._descriptor, length, start))
            if not piece:
                raise FileSealError("a stored file was truncated while it was read; restore it from a backup")
            pieces.append(piece)
            start, length = start + len(piece), length - len(piece)
        return b"".join(pieces)
