"""Whole copies of an SQLite file that others may be writing to."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def copy_file(source: Path, target: Path) -> None:
    """Copy an SQLite database, as it was last committed, to a file that is whole or not there; raises OSError.

    Others may write meanwhile: SQLite's own backup begins anew when they do. The copy is the owner's to read alone.
    """
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        _copy(source, partial)
        partial.replace(target)
    except sqlite3.Error as error:
        raise OSError(f"{target}: the copy could not be made ({error}); make room or name another place") from error
    finally:
        partial.unlink(missing_ok=True)
    sync(target.parent)


def _copy(source: Path, target: Path) -> None:
    reader = sqlite3.connect(source, timeout=10)
    writer = sqlite3.connect(target)
    try:
        reader.backup(writer)
        # One file, also where the source is in WAL mode.
        writer.execute("PRAGMA journal_mode=DELETE").fetchone()
    finally:
        writer.close()
        reader.close()


def sync(folder: Path) -> None:
    """Have the folder's entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
