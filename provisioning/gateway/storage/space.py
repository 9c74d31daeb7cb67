"""Whether there is room on the volume: what cannot be kept whole is refused before it is begun."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from provisioning.gateway.problems import Code, Problem

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says when a disk, or somebody's part of it, is full."""


class Space:
    """Looks at the file system of one directory; without a directory there is always room."""

    def __init__(self, directory: Path | None, min_free_bytes: int) -> None:
        self._directory = directory
        self._min_free_bytes = min_free_bytes

    def check(self, wanted_bytes: int = 0) -> None:
        """Refuse what would leave less than the reserve; raises Problem STORAGE_FULL."""
        if self._directory is not None and self._free() - wanted_bytes < self._min_free_bytes:
            raise Problem(Code.STORAGE_FULL)

    def _free(self) -> int:
        found = os.statvfs(self._directory or "/")
        return found.f_bavail * found.f_frsize
