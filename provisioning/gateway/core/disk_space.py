"""Free disk space: work that would not fit is refused before it starts.

The file system of a network volume reports the free space of the whole storage cluster, not of the volume. The gateway
therefore sums the file sizes on the volume and compares them with the size that the volume was created with.
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
"""System errors for a full disk or an exhausted disk quota."""

COUNT_SECONDS = 600.0
"""Seconds between two measurements of the files beside the store: models and archives, which change rarely."""
MAX_ENTRIES = 200_000
"""Most files whose sizes are added up; on a slow volume that takes minutes."""


def problem_of(error: OSError) -> Problem:
    """Return the problem to answer with when reading or writing a file fails."""
    if error.errno in FULL:
        return Problem(Code.STORAGE_FULL)
    text = f"The disk reports an error ({os.strerror(error.errno or errno.EIO)}); try again shortly."
    return Problem(Code.STORE_UNAVAILABLE, text)


class DiskSpace:
    """Checks the free space of one directory's file system; without a directory every check passes."""

    def __init__(self, directory: Path | None, min_free_bytes: int) -> None:
        self._directory = directory
        self._min_free_bytes = min_free_bytes

    def check(self, wanted_bytes: int = 0) -> None:
        """Check that `wanted_bytes` leave the reserve free; raises Problem STORAGE_FULL or STORE_UNAVAILABLE."""
        if self._directory is None:
            return
        try:
            free = self._free()
        except OSError as error:
            raise problem_of(error) from error
        if free - wanted_bytes < self._min_free_bytes:
            raise Problem(Code.STORAGE_FULL)

    async def run(self) -> None:
        """Update the measurements until cancelled; a plain directory needs none."""

    def _free(self) -> int:
        return shutil.disk_usage(self._directory or "/").free


class ByteCounter(Protocol):
    """A store that counts its bytes on the volume."""

    count: int

    async def run(self) -> None:
        """Keep the count correct until cancelled."""


class VolumeSpace(DiskSpace):
    """Checks the space on the volume, by file sizes, and on the container disk."""

    def __init__(self, local: DiskSpace, store: Path, sizes: tuple[int, int], stored: ByteCounter) -> None:
        """Check `store` and `local`.

        Args:
            local: The space of the container disk.
            store: The folder of the store.
            sizes: The volume's size (0 when unknown) and the reserve, in bytes.
            stored: The count of the store's bytes.
        """
        self._volume_bytes, reserve = sizes
        super().__init__(store, reserve)
        self._store = store
        self._local = local
        self._stored = stored
        self.others = 0
        """Bytes on the volume outside the store."""

    def check(self, wanted_bytes: int = 0) -> None:
        """Check that the reserve stays free on the volume and the container disk; raises Problem STORAGE_FULL."""
        self._local.check(wanted_bytes)
        super().check(wanted_bytes)

    def _free(self) -> int:
        if not self._volume_bytes:
            return super()._free()
        return self._volume_bytes - self._stored.count - self.others

    async def run(self) -> None:
        """Measure the store and the rest of the volume periodically until cancelled."""
        await asyncio.gather(self._stored.run(), self._count_others())

    async def _count_others(self) -> None:
        while self._volume_bytes:
            # A failed measurement is repeated next time; until then the volume itself reports when it is full.
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
