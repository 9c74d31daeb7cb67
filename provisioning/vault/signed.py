"""Files on the volume with a keyed hash of their content, which detects foreign and changed files.

The last 32 bytes are an HMAC-SHA256 with the volume key of the file's name, a zero byte, and the preceding bytes.
Content and hash are in one file, so that they always match. boot.sh implements the same check.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from provisioning.errors import InstallError
from provisioning.host.files import FULL

HASH_BYTES = 32
CHUNK_BYTES = 1 << 20
TRIES = 4
"""Attempts, because a network volume occasionally fails with EIO and works again shortly after."""
PAUSE_SECONDS = 1.0


class UntrustedFileError(InstallError):
    """A file on the volume was not written by this stack, or was changed since."""


class HashingWriter:
    """A file that is written sequentially and hashed at the same time."""

    def __init__(self, file: IO[bytes], name: str, key: str) -> None:
        self._file = file
        self._hash = _hash(name, key)

    def write(self, data: bytes) -> int:
        """Write and hash data."""
        self._hash.update(data)
        return self._file.write(data)

    def finish(self) -> None:
        """Append the hash."""
        self._file.write(self._hash.digest())


@contextmanager
def writing(path: Path, key: str) -> Iterator[HashingWriter]:
    """Write a signed file under a temporary name; it is renamed after it was read back and verified.

    Raises:
        InstallError: the volume is full.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.staged"):
        left.unlink(missing_ok=True)
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}.staged")
    try:
        with staged.open("xb") as file:
            writer = HashingWriter(file, path.name, key)
            yield writer
            writer.finish()
            file.flush()
            os.fsync(file.fileno())
            # The check below must read from the volume, not from the page cache.
            with suppress(OSError):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        _check(staged, path.name, key, lambda _chunk: None)
        staged.replace(path)
    except OSError as error:
        if error.errno in FULL:
            raise InstallError(f"{path} cannot be written: {os.strerror(error.errno)}") from error
        raise
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)


def write(path: Path, key: str, content: bytes) -> None:
    """Write a small signed file; raises the same errors as `writing`."""
    with writing(path, key) as file:
        file.write(content)


def read(path: Path, key: str, sleep: Callable[[float], None] = time.sleep) -> bytes:
    """Return the content of a small signed file.

    Raises:
        UntrustedFileError: The hash does not match the content.
        FileNotFoundError: The file does not exist.
    """
    chunks: list[bytes] = []

    def look() -> None:
        chunks.clear()
        _check(path, path.name, key, chunks.append)

    _retry(look, sleep)
    return b"".join(chunks)


def check(path: Path, key: str) -> None:
    """Read a signed file and verify its hash; raises the same errors as `read`."""
    _retry(lambda: _check(path, path.name, key, lambda _chunk: None))


def copy(path: Path, key: str, target: Path) -> None:
    """Copy a signed file's content from the volume; remove the target if the hash does not match.

    Raises:
        UntrustedFileError: The hash does not match the content.
        FileNotFoundError: The file does not exist.
        OSError: It cannot be read after several attempts, or the target cannot be written.
    """

    def once() -> None:
        with target.open("wb") as file:
            _check(path, path.name, key, file.write)

    try:
        _retry(once)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _retry(action: Callable[[], None], sleep: Callable[[float], None] = time.sleep) -> None:
    for left in reversed(range(TRIES)):
        try:
            return action()
        except OSError as error:
            if not left or isinstance(error, FileNotFoundError) or error.errno in FULL:
                raise
            sleep(PAUSE_SECONDS)
    return None


def _check(path: Path, name: str, key: str, take: Callable[[bytes], object]) -> None:
    total = _hash(name, key)
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - HASH_BYTES
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            total.update(chunk)
            take(chunk)
            left -= len(chunk)
        claimed = file.read(HASH_BYTES)
    if left or not hmac.compare_digest(total.digest(), claimed):
        raise UntrustedFileError(
            f"{path} was not written by this stack, or was changed since: it is not used. The next `make up` writes it "
            "again"
        )


def _hash(name: str, key: str) -> hmac.HMAC:
    if not key:
        raise InstallError("this pod has no volume key; run `make up` to set one")
    return hmac.new(key.encode(), name.encode() + b"\0", hashlib.sha256)
