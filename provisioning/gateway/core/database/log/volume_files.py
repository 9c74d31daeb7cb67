"""What the log does with files on the volume; a volume that stalls or fails is put in its place by tests."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MODE = 0o666
"""A network volume gives files to root; where it obeys modes, nobody else could read a private one again."""


class VolumeFiles:
    """Files on the volume; every method may raise OSError, and may take as long as the volume does."""

    def open(self, path: Path) -> int:
        """Return a descriptor to write a file that may be there already."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of `data` at an offset."""
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def sync(self, descriptor: int) -> None:
        """Return when what was written is on the volume."""
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Return when a folder's entries are on the volume; some file systems have no such thing and refuse."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, path: Path) -> bool:
        """Say whether there is something; raises OSError when that cannot be known."""
        try:
            path.lstat()
        except FileNotFoundError:
            return False
        return True

    def put(self, path: Path, data: bytes) -> None:
        """Write a small file whole, so that nobody sees a part of it."""
        draft = path.with_name(f"{path.name}.part")
        descriptor = self.open(draft)
        try:
            os.ftruncate(descriptor, 0)
            self.write(descriptor, data, 0)
            self.sync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
