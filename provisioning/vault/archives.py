"""Archives of software trees: created once, stored on the volume, unpacked on the container disk.

They are uncompressed tar files: decompression takes three times as long as reading the bytes that it would save.
"""

from __future__ import annotations

import fcntl
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from provisioning.host.files import settle, staging, write
from provisioning.layout import Layout
from provisioning.vault import signed
from provisioning.vault.signed import UntrustedFileError

SUFFIX = ".tar"


def path(layout: Layout, name: str) -> Path:
    """Return an archive's path on the volume."""
    return layout.archives / f"{name}{SUFFIX}"


def exists(layout: Layout, name: str) -> bool:
    """Return whether the volume has an archive of this name."""
    return path(layout, name).is_file()


def is_intact(layout: Layout, key: str, name: str) -> bool:
    """Return whether the next start can use the volume's archive; it is verified once per container start."""
    if not exists(layout, name):
        return False
    if not _checked(layout, name).exists():
        try:
            signed.check(path(layout, name), key)
        except UntrustedFileError:
            return False
        _note_checked(layout, name)
    return True


def _checked(layout: Layout, name: str) -> Path:
    return layout.checked / name


def _note_checked(layout: Layout, name: str) -> None:
    write(_checked(layout, name), "")


def keep(layout: Layout, key: str, name: str, directory: Path) -> None:
    """Write a directory to an archive on the volume, atomically.

    Raises:
        InstallError: The volume is full.
        OSError: It cannot be written.
    """
    # For a stream, tarfile only calls `write`.
    with (
        signed.writing(path(layout, name), key) as file,
        tarfile.open(fileobj=cast("IO[bytes]", file), mode="w|") as tar,
    ):
        tar.add(directory, arcname=".", filter=_as_root)
    _note_checked(layout, name)


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def unpack(layout: Layout, key: str, name: str, target: Path) -> None:
    """Unpack an archive to `target`, atomically.

    The archive is copied to the container disk and its hash verified before anything is unpacked.

    Raises:
        UntrustedFileError: This stack did not write the archive.
        FileNotFoundError: The volume has no archive of this name.
        OSError: It cannot be read, or not be written to the container disk.
    """
    with _alone(layout):
        if target.exists():
            return
        staged = staging(target, "unpacked")
        copy = staged.with_name(f"{staged.name}{SUFFIX}")
        try:
            signed.copy(path(layout, name), key, copy)
            _extract(copy, staged)
        finally:
            copy.unlink(missing_ok=True)
        mark_used(layout, (name,))
        _note_checked(layout, name)
        settle(staged, target)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Lock unpacking: a start and an installation may need the same tree at once."""
    layout.run.mkdir(parents=True, exist_ok=True)
    # Other users must not be able to hold the lock.
    descriptor = os.open(layout.run / "unpacking.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _extract(copy: Path, target: Path) -> None:
    with tarfile.open(copy) as tar:
        if hasattr(tarfile, "fully_trusted_filter"):
            tar.extractall(target, filter="fully_trusted")  # noqa: S202  (the verified hash shows that this stack wrote it)
        else:
            tar.extractall(target)  # noqa: S202


def mark_used(layout: Layout, names: Iterable[str]) -> None:
    """Set the archives' modification times to now: archives that were used within a day are not removed."""
    for name in names:
        with suppress(OSError):
            os.utime(path(layout, name))
