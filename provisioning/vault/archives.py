"""One archive for each tree that runs on the pod: built once, kept on the volume, unpacked on the container disk.

Plain tar files: a start reads each in one sweep, and unpacking a compressed one takes three times as long as reading
the bytes that compression would save.
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
    """Return where an archive lies on the volume."""
    return layout.archives / f"{name}{SUFFIX}"


def is_kept(layout: Layout, name: str) -> bool:
    """Say whether the volume holds an archive of this name."""
    return path(layout, name).is_file()


def is_sound(layout: Layout, key: str, name: str) -> bool:
    """Say whether the next start can use the volume's archive; it is read once in a container's life."""
    if not is_kept(layout, name):
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
    """Write a directory to the volume; killed anywhere, the archive is whole or the former one.

    Raises:
        InstallError: The volume is full.
        OSError: It cannot be written.
    """
    # Of a stream tarfile asks nothing but to be written to.
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
    """Make `target` of an archive; killed anywhere, it is whole or absent.

    Nothing is unpacked before the whole archive was copied to the container disk and its hash compared.

    Raises:
        UntrustedFileError: The archive is not what this stack wrote.
        FileNotFoundError: The volume has no such archive.
        OSError: It cannot be read, or the container disk cannot take it.
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
    """Let one process unpack at a time: a start and an installation may want the same tree."""
    layout.run.mkdir(parents=True, exist_ok=True)
    # Who can open it can hold it.
    descriptor = os.open(layout.run / "unpacking.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _extract(copy: Path, target: Path) -> None:
    with tarfile.open(copy) as tar:
        if hasattr(tarfile, "fully_trusted_filter"):
            tar.extractall(target, filter="fully_trusted")  # noqa: S202  (it is what we wrote: the hash says so)
        else:
            tar.extractall(target)  # noqa: S202


def mark_used(layout: Layout, names: Iterable[str]) -> None:
    """Set the archives' times to now: what was used within a day is not removed."""
    for name in names:
        with suppress(OSError):
            os.utime(path(layout, name))
