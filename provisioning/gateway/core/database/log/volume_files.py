"""File operations of the log on the volume; tests replace them to simulate a volume that stalls or fails."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MODE = 0o666
"""Mode of files: a network volume makes root their owner; if it obeys modes, a private file would be unreadable."""


class VolumeFiles:
    """Files on the volume; every method may raise OSError and may block as long as the volume stalls."""

    def open(self, path: Path) -> int:
        """Open a new or existing file for writing; returns its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of `data` at an offset."""
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def sync(self, descriptor: int) -> None:
        """Sync a file to the volume."""
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Sync a folder's entries to the volume; ignores file systems that do not support it."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, path: Path) -> bool:
        """Return whether a path exists; raises OSError when that cannot be checked."""
        try:
            path.lstat()
        except FileNotFoundError:
            return False
        return True

    def put(self, path: Path, data: bytes) -> None:
        """Write a small file atomically."""
        draft = path.with_name(f"{path.name}.part")
        descriptor = self.open(draft)
        try:
            os.ftruncate(descriptor, 0)
            self.write(descriptor, data, 0)
            self.sync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
