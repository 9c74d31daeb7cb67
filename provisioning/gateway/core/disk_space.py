"""Whether there is room: what cannot be kept whole is refused before it is begun.

A network volume's file system shows the whole cluster, never the volume; so what lies on the volume is counted, against
the size that was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Protocol

from provisioning.gateway.core.problems import Code, Problem

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says when a disk, or somebody's part of it, is full."""

COUNT_SECONDS = 600.0
"""How often what others put on the volume is counted anew: models and archives, which come seldom."""
MAX_ENTRIES = 200_000
"""Of so many files the sizes are added up; on a slow volume that takes minutes."""


def problem_of(error: OSError) -> Problem:
    """Return what a client is told when the system refuses to write or read."""
    if error.errno in FULL:
        return Problem(Code.STORAGE_FULL)
    text = f"The disk gives an error ({os.strerror(error.errno or errno.EIO)}); try again shortly."
    return Problem(Code.STORE_UNAVAILABLE, text)


class DiskSpace:
    """Looks at the file system of one directory; without a directory there is always room."""

    def __init__(self, directory: Path | None, min_free_bytes: int) -> None:
        self._directory = directory
        self._min_free_bytes = min_free_bytes

    def check(self, wanted_bytes: int = 0) -> None:
        """Refuse what would leave less than the reserve; raises Problem STORAGE_FULL, STORE_UNAVAILABLE."""
        if self._directory is None:
            return
        try:
            free = self._free()
        except OSError as error:
            raise problem_of(error) from error
        if free - wanted_bytes < self._min_free_bytes:
            raise Problem(Code.STORAGE_FULL)

    async def run(self) -> None:
        """Keep count, until cancelled, where that is needed."""

    def _free(self) -> int:
        return shutil.disk_usage(self._directory or "/").free


class ByteCounter(Protocol):
    """What knows how many bytes it has on the volume."""

    count: int

    async def run(self) -> None:
        """Keep the count right, until cancelled."""


class VolumeSpace(DiskSpace):
    """Counts what lies on the volume, and looks at the container's disk beside."""

    def __init__(self, local: DiskSpace, store: Path, sizes: tuple[int, int], stored: ByteCounter) -> None:
        """Take the store's folder, the volume's size (0 when nobody knows it) and the reserve, and the store."""
        self._volume_bytes, reserve = sizes
        super().__init__(store, reserve)
        self._store = store
        self._local = local
        self._stored = stored
        self.others = 0
        """Bytes on the volume beside the store."""

    def check(self, wanted_bytes: int = 0) -> None:
        """Refuse what would leave less than the reserve, on the volume or on the disk; raises Problem STORAGE_FULL."""
        self._local.check(wanted_bytes)
        super().check(wanted_bytes)

    def _free(self) -> int:
        if not self._volume_bytes:
            return super()._free()
        return self._volume_bytes - self._stored.count - self.others

    async def run(self) -> None:
        """Count now and then the store and what lies beside it, until cancelled."""
        await asyncio.gather(self._stored.run(), self._count_others())

    async def _count_others(self) -> None:
        while self._volume_bytes:
            # What cannot be counted now is counted the next time; meanwhile the volume itself says when it is full.
            with contextlib.suppress(OSError):
                self.others = await asyncio.to_thread(measure, self._store.parent, self._store)
            await asyncio.sleep(COUNT_SECONDS)


def measure(top: Path, without: Path, max_entries: int = MAX_ENTRIES) -> int:
    """Return the bytes of the files below a folder, without those of another; stops after `max_entries` files."""
    total = seen = 0
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if Path(folder, name) != without]
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(folder, name), follow_symlinks=False).st_size  # noqa: PTH116, PTH118 - many
        seen += len(names)
        if seen > max_entries:
            break
    return total
