"""Measured properties of the network volume, which vary between volumes."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioning.layout import Layout

SAMPLE_BYTES = 8 << 20
SMALL_FILES = 8
CLUSTER_BYTES = 50 << 40
"""No volume is that large; a file system with more space shows its cluster's."""


def line(layout: Layout, *, owns_machine: bool) -> str:
    """Return the properties as one line; raises OSError when the volume is not writable."""
    with _scratch(layout.home) as directory:
        return ", ".join((*_rules(directory, owns_machine=owns_machine), _room(layout), *_pace(directory)))


@contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    home.mkdir(parents=True, exist_ok=True)
    directory = home / f".probe.{secrets.token_hex(4)}.staged"
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _rules(directory: Path, *, owns_machine: bool) -> Iterator[str]:
    file = directory / "owner"
    file.write_bytes(b"")
    if owns_machine:
        yield f"chown {'obeyed' if _obeyed(lambda: os.chown(file, 12345, 12345), file, 12345) else 'refused'}"
    with suppress(OSError):
        file.chmod(0o640)
    yield f"chmod {'obeyed' if file.stat().st_mode & 0o777 == 0o640 else 'ignored'}"


def _obeyed(change: Callable[[], None], file: Path, wanted: int) -> bool:
    with suppress(OSError):
        change()
    return file.stat().st_uid == wanted


def _room(layout: Layout) -> str:
    total = shutil.disk_usage(layout.volume).total
    return "df shows the cluster" if total > CLUSTER_BYTES else f"df shows {total / 1e9:.0f} GB"


def _pace(directory: Path) -> Iterator[str]:
    sample, data = directory / "sample", os.urandom(SAMPLE_BYTES)
    yield f"writes {SAMPLE_BYTES / 1e6 / _seconds(lambda: _write(sample, data)):.0f} MB/s"
    yield f"fsync {_seconds(lambda: _write(directory / 'small', b'x')) * 1e3:.1f} ms"
    names = [directory / f"small-{number}" for number in range(SMALL_FILES)]
    for name in names:
        name.write_bytes(b"x")
    opened = _seconds(lambda: [name.read_bytes() for name in names])
    yield f"open {opened * 1e3 / SMALL_FILES:.1f} ms"


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return max(time.perf_counter() - began, 1e-6)
