"""Consistent copies of an SQLite file that may be in use."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def copy_file(source: Path, target: Path) -> None:
    """Copy the last committed state of an SQLite database to a file, atomically; raises OSError.

    Others may write meanwhile: SQLite's backup then restarts. Only the owner can read the copy.
    """
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        _copy(source, partial)
        partial.replace(target)
    except sqlite3.Error as error:
        raise OSError(f"{target}: the copy failed ({error}); free disk space or name another folder") from error
    finally:
        partial.unlink(missing_ok=True)
    sync(target.parent)


def _copy(source: Path, target: Path) -> None:
    reader = sqlite3.connect(source, timeout=10)
    writer = sqlite3.connect(target)
    try:
        reader.backup(writer)
        # A single file, even when the source is in WAL mode.
        writer.execute("PRAGMA journal_mode=DELETE").fetchone()
    finally:
        writer.close()
        reader.close()


def sync(folder: Path) -> None:
    """Sync the folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
