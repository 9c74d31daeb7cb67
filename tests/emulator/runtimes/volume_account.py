"""The bytes on a network volume: added as they are written, subtracted as they are deleted."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Account:
    """The bytes of all files of a directory; a write beyond the quota raises OSError with EDQUOT.

    A file that was deleted while it was open counts until it is closed, as on the real one.
    """

    def __init__(self, directory: Path, quota: Callable[[], int]) -> None:
        self._quota = quota
        self._lock = threading.RLock()
        self._open: dict[int, int] = {}
        """How often a file, by its inode, is open."""
        self._sizes: dict[int, int] = {}
        """Sizes of the open files."""
        self._deleted: set[int] = set()
        """Files without a name that are still open."""
        self.used = counted(directory)

    def opened(self, descriptor: int) -> None:
        """Take note of a file that was opened; its size may have been cut by that."""
        with self._lock:
            status = os.fstat(descriptor)
            self._open[status.st_ino] = self._open.get(status.st_ino, 0) + 1
            self._sizes.setdefault(status.st_ino, status.st_size)

    def closed(self, inode: int) -> None:
        """Take note that a file was closed once."""
        with self._lock:
            self._open[inode] -= 1
            if self._open[inode]:
                return
            size = self._sizes.pop(inode)
            del self._open[inode]
            if inode in self._deleted:
                self._deleted.discard(inode)
                self.used -= size

    def grow(self, inode: int, end: int) -> int:
        """Reserve room so that an open file reaches up to `end`, and return its size before."""
        with self._lock:
            size = self._sizes[inode]
            if end > size:
                self._take(end - size)
                self._sizes[inode] = end
            return size

    def settle(self, inode: int, size: int) -> None:
        """Correct the size of an open file after a write that failed."""
        with self._lock:
            self.used += size - self._sizes[inode]
            self._sizes[inode] = size

    @contextmanager
    def resized(self, inode: int, before: int, after: int) -> Iterator[None]:
        """Cut or lengthen a file inside; refused before anything is done where there is no room."""
        with self._lock:
            before = self._sizes.get(inode, before)
            if after > before:
                self._check(after - before)
            yield
            self.used += after - before
            if inode in self._sizes:
                self._sizes[inode] = after

    @contextmanager
    def unnamed(self, lost: Callable[[], os.stat_result | None]) -> Iterator[None]:
        """Take a name away inside, of the file that `lost` returns; None where no file goes with it."""
        with self._lock:
            status = lost()
            yield
            if status is None or not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                return
            if status.st_ino in self._open:
                self._deleted.add(status.st_ino)
            else:
                self.used -= status.st_size

    def _take(self, size: int) -> None:
        self._check(size)
        self.used += size

    def _check(self, size: int) -> None:
        quota = self._quota()
        if quota and self.used + size > quota:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def counted(directory: Path) -> int:
    """Return the bytes of all files below a directory, each counted once however many names it has."""
    sizes: dict[int, int] = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - thousands of them at every start
            if stat.S_ISREG(status.st_mode):
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values())
