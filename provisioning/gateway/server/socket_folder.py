"""The folder of the Unix socket between nginx and the gateway, which no other user can open."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "comfyui-gateway-"

YOUNG_SECONDS = 60.0
"""A younger folder may belong to a gateway that has not locked it yet."""


@contextmanager
def socket_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder of mode 0700 and delete it afterwards; first delete those left in `parent` by killed gateways.

    Its name is random, so that ComfyUI's user cannot create it first, and short, as a socket's path must be.
    """
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            _delete_if_left_behind(folder)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent) as name, _opened(Path(name)) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Path(name)


def _delete_if_left_behind(folder: Path) -> None:
    """Delete an old folder that no process has locked; raises OSError for a folder in use or of another user."""
    with _opened(folder) as descriptor:
        found = os.fstat(descriptor)
        if found.st_uid == os.geteuid() and time.time() - found.st_mtime > YOUNG_SECONDS:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
