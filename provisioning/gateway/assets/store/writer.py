"""Writing a file of the store: to a draft, which is synced and read back before it is renamed.

Every method blocks on the volume and must not be called on the event loop. All raise OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import uuid
from pathlib import Path

from blake3 import blake3

from provisioning.gateway.assets.store.content import PIECE_BYTES, Content
from provisioning.gateway.assets.store.encryption import CHUNK_BYTES, FileCipher, FileSealError
from provisioning.gateway.assets.store.paths import StorePath

READ_BACK_BYTES = 64 * 1024 * 1024
"""A file up to this size is read back completely before it counts as stored."""

_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EISDIR})
"""Errors of network file systems that do not support syncing a folder."""


class Writer:
    """Writes a file chunk by chunk."""

    def __init__(self, drafts: Path, place: StorePath, cipher: FileCipher, *, sealed: bool) -> None:
        """Create a draft; `sealed`: whether to encrypt it."""
        self._path = drafts / uuid.uuid4().hex
        self._place = place
        self._cipher = cipher
        self._seal = cipher.fresh(place) if sealed else None
        self._lock = threading.Lock()
        """Serialises `abort` with a write that is still blocked by a stalled volume."""
        self._pending = b""
        self._number = 0
        self._hasher = blake3()
        self.size = 0
        self.cancelled = False
        """Whether the caller has stopped waiting, so that the draft must not be renamed."""
        # Access is controlled by the folder of the mount point: many volumes ignore modes.
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        try:
            self._write(self._seal.header if self._seal else b"")
        except OSError:
            self.abort()
            raise

    def write(self, piece: bytes) -> None:
        """Append a chunk."""
        with self._lock:
            self._add(piece)

    def _add(self, piece: bytes) -> None:
        self._hasher.update(piece)
        self.size += len(piece)
        if self._seal is None:
            self._write(piece)
            return
        self._pending += piece
        whole = max(0, (len(self._pending) - 1) // CHUNK_BYTES)
        chunks = [self._pending[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES] for at in range(whole)]
        sealed = [self._seal.seal(number, chunk, last=False) for number, chunk in enumerate(chunks, self._number)]
        self._write(b"".join(sealed))
        self._number += whole
        self._pending = self._pending[whole * CHUNK_BYTES :]

    def finish(self, target: Path) -> int:
        """Rename the draft to its target, durably; returns by how many bytes the store has grown."""
        with self._lock:
            return self._finish(target)

    def _finish(self, target: Path) -> int:
        if self._seal is not None:
            self._write(self._seal.seal(self._number, self._pending, last=True))
        os.fsync(self._descriptor)
        self._close()
        stored = self._check()
        if self.cancelled:
            raise OSError(errno.ETIMEDOUT, "the request for this file was cancelled", str(target))
        made = _folders_to_make(target.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        former = _size(target)
        self._path.replace(target)
        for folder in (target.parent, *(folder.parent for folder in made)):
            sync(folder)
        return stored - former

    def abort(self) -> None:
        """Delete the draft, unless it has been renamed."""
        with self._lock:
            # A draft that cannot be deleted now is removed later by the store's recount.
            with contextlib.suppress(OSError):
                self._close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _check(self) -> int:
        content = Content(self._path, self._place, self._cipher)
        try:
            hasher, read_to = blake3(), content.size if content.size <= READ_BACK_BYTES else 0
            for start in range(0, read_to, PIECE_BYTES):
                hasher.update(content.read(start, PIECE_BYTES))
            if content.size != self.size or (read_to and hasher.digest() != self._hasher.digest()):
                raise OSError(errno.EIO, "what was read back is not what was written", str(self._path))
        except FileSealError as error:
            raise OSError(errno.EIO, "what was read back is not what was written", str(self._path)) from error
        finally:
            content.close()
        return content.stored_bytes

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def sync(folder: Path) -> None:
    """Sync a folder's entries to the disk, if the file system supports it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def _folders_to_make(folder: Path) -> list[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return missing


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
