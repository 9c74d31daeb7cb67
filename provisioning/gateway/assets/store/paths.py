"""Paths of files in the store: the same names as in ComfyUI."""

from __future__ import annotations

import re
from typing import NamedTuple

from provisioning.gateway.upstream.stored_file import StoredFile

FOLDERS = frozenset({"input", "output", "temp", "user"})
"""ComfyUI's own folders; the store has one of each name."""

MAX_PART_BYTES = 255
"""NAME_MAX of Linux."""
MAX_PATH_BYTES = 2048

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class StorePath(NamedTuple):
    """The path of a file in the store."""

    folder: str
    """One of FOLDERS."""
    path: str
    """Below the folder, with `/`."""

    @property
    def is_safe(self) -> bool:
        """Return whether the path is valid and inside the store."""
        parts = self.path.split("/")
        plain = self.folder in FOLDERS and not _CONTROLS.search(self.path) and {"", ".", ".."}.isdisjoint(parts)
        encoded = self.path.encode(errors="replace")
        return plain and len(encoded) <= MAX_PATH_BYTES and max(map(len, encoded.split(b"/"))) <= MAX_PART_BYTES


class StoredCopy(NamedTuple):
    """A file in ComfyUI's folders, and its path in the store."""

    file: StoredFile
    place: StorePath


def store_path_of(file: StoredFile, job_id: str | None = None) -> StorePath:
    """Return the path in the store for a file of ComfyUI.

    A temporary file is stored below its job's id: ComfyUI restarts their numbers at each start, so that two jobs may
    use one name.
    """
    job = job_id if file.type == "temp" else None
    return StorePath(file.type, "/".join(filter(None, (job, file.subfolder, file.filename))))
