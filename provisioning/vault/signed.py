"""Files on the volume that end with a keyed hash of their content: what others wrote or changed there is noticed.

The last 32 bytes are HMAC-SHA256 under the volume key of the file's name, a zero byte, and the bytes before them. One
file holds both, so that neither is ever newer than the other. boot.sh checks the same form by itself.
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
"""A network volume answers EIO now and then and is well again a moment later."""
PAUSE_SECONDS = 1.0


class UntrustedFileError(InstallError):
    """A file on the volume was not written by this stack, or was changed since."""


class HashingWriter:
    """A file that is written once, from front to end, and hashed meanwhile."""

    def __init__(self, file: IO[bytes], name: str, key: str) -> None:
        self._file = file
        self._hash = _hash(name, key)

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self._hash.update(data)
        return self._file.write(data)

    def finish(self) -> None:
        """Append the hash."""
        self._file.write(self._hash.digest())


@contextmanager
def writing(path: Path, key: str) -> Iterator[HashingWriter]:
    """Write a signed file beside its name; it gets the name when all of it can be read back.

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
            # The check below is of what the volume returns, not of what this machine still remembers.
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
    """Write a small signed file; raises what `writing` does."""
    with writing(path, key) as file:
        file.write(content)


def read(path: Path, key: str, sleep: Callable[[float], None] = time.sleep) -> bytes:
    """Return what a small signed file says.

    Raises:
        UntrustedFileError: The hash is not that of the content.
        FileNotFoundError: There is no such file.
    """
    chunks: list[bytes] = []

    def look() -> None:
        chunks.clear()
        _check(path, path.name, key, chunks.append)

    _patiently(look, sleep)
    return b"".join(chunks)


def check(path: Path, key: str) -> None:
    """Read a signed file and compare its hash; raises what `read` does."""
    _patiently(lambda: _check(path, path.name, key, lambda _chunk: None))


def copy(path: Path, key: str, target: Path) -> None:
    """Copy a signed file's content off the volume; without a fitting hash nothing is left at the target.

    Raises:
        UntrustedFileError: The hash is not that of the content.
        FileNotFoundError: There is no such file.
        OSError: It cannot be read, also after some tries, or the target cannot be written.
    """

    def once() -> None:
        with target.open("wb") as file:
            _check(path, path.name, key, file.write)

    try:
        _patiently(once)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _patiently(action: Callable[[], None], sleep: Callable[[float], None] = time.sleep) -> None:
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
            "anew"
        )


def _hash(name: str, key: str) -> hmac.HMAC:
    if not key:
        raise InstallError("this pod has no volume key; run `make up`, which gives it one")
    return hmac.new(key.encode(), name.encode() + b"\0", hashlib.sha256)
