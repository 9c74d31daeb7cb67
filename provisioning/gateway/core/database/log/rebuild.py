"""Rebuilding the database from an epoch: its newest snapshot, then every later log."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from provisioning.gateway.core.database.log import snapshots
from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys, UnknownKeyError
from provisioning.gateway.core.database.log.epochs import Epoch
from provisioning.gateway.core.database.log.records import DamagedFileError, Reader
from provisioning.gateway.core.database.log.wal import FRAME_HEAD_BYTES, HEAD_BYTES

TRIES = 5
"""Attempts: a gateway that has not noticed yet that it is superseded may remove an old snapshot during the read."""

ENDINGS = ("", "-wal", "-shm", "-journal")
"""Suffixes of the files of an SQLite database."""

_log = logging.getLogger(__name__)


class RebuildError(Exception):
    """The database cannot be rebuilt; the message names the file and the remedy."""


class DamagedLogError(RebuildError):
    """A file of the log is damaged."""


def rebuild(epoch: Epoch, keys: ChecksumKeys, target: Path, *, to_damage: bool = False) -> None:
    """Rebuild the database of an epoch at `target`, atomically; raises RebuildError, OSError.

    A log is damaged when acknowledged changes would be lost. That is an error, unless `to_damage` asks for the database
    as of before the damage.
    """
    draft = target.with_name(f"{target.name}.draft")
    for left in reversed(range(TRIES)):
        try:
            _rebuild(epoch, keys, draft, to_damage=to_damage)
            remove(target)
            draft.replace(target)
        except FileNotFoundError:
            if not left:
                raise
        except (DamagedFileError, UnknownKeyError, sqlite3.Error) as error:
            if not left:
                kind = DamagedLogError if isinstance(error, DamagedFileError) else RebuildError
                raise kind(
                    f"{epoch.path}: the database cannot be rebuilt ({error}); restore a backup with `make restore`"
                ) from error
        else:
            return
        finally:
            remove(draft)


def remove(database: Path) -> None:
    """Remove a database and its companion files."""
    for ending in ENDINGS:
        Path(f"{database}{ending}").unlink(missing_ok=True)


def _rebuild(epoch: Epoch, keys: ChecksumKeys, target: Path, *, to_damage: bool) -> None:
    remove(target)
    first = epoch.generations("snapshot")[-1:]
    if not first:
        raise FileNotFoundError(f"{epoch.path}: there is no snapshot of a database")
    snapshots.read(epoch.snapshot(first[0]), keys, target)
    try:
        _apply_all(epoch, keys, target, first[0], to_damage=to_damage)
    except DamagedFileError:
        if not to_damage:
            raise
    # Snapshots are removed before their logs: while this one exists, no log is missing.
    if not epoch.snapshot(first[0]).exists():
        raise FileNotFoundError(f"{epoch.snapshot(first[0])}: it was removed while it was read")
    _check(target)


def _apply_all(epoch: Epoch, keys: ChecksumKeys, target: Path, first: int, *, to_damage: bool) -> None:
    """Apply the logs from a generation on; raises DamagedFileError when one is missing or damaged."""
    last = max([first, *epoch.generations("log")])
    digest = None
    for generation in range(first, last + 1):
        digest = _apply(epoch.log(generation), keys, target, digest, to_damage=to_damage)
        if digest is None and generation < last:
            raise DamagedFileError(f"{epoch.log(generation)}: it is missing, while later ones exist")


def _apply(path: Path, keys: ChecksumKeys, target: Path, digest: bytes | None, *, to_damage: bool) -> bytes | None:
    """Apply one log; returns its last digest, with which the next log has to begin."""
    wal = Path(f"{target}-wal")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        reader = Reader(file, path, keys, to_damage=to_damage)
        if reader.is_empty:
            return None
        if digest is not None and reader.previous != digest:
            raise DamagedFileError(f"{path}: the end of the log before it is missing")
        frames = _write(reader, wal)
        if reader.is_torn:
            _log.warning("the torn tail of a log was cut off; it was never acknowledged", extra={"file": path.name})
    if frames:
        _recover(target, path, frames)
    return reader.digest


def _write(reader: Reader, wal: Path) -> int:
    """Write the WAL file from a log; returns the number of committed frames."""
    end = 0
    with wal.open("wb") as copy:
        for start, content in reader.contents():
            copy.seek(start)
            copy.write(content)
            end = start + len(content)
    return _frames(wal, end)


def _frames(wal: Path, end: int) -> int:
    if end <= HEAD_BYTES:
        return 0
    with wal.open("rb") as file:
        size = int.from_bytes(file.read(12)[8:], "big")
    return (end - HEAD_BYTES) // (FRAME_HEAD_BYTES + size)


def _recover(target: Path, path: Path, frames: int) -> None:
    """Have SQLite apply its WAL file; raises DamagedFileError when it does not apply every frame."""
    with closing(sqlite3.connect(target)) as connection:
        _, found, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if found != frames:
            raise DamagedFileError(f"{path}: SQLite applied {found} of its {frames} pages")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _check(target: Path) -> None:
    with closing(sqlite3.connect(target)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise DamagedFileError(f"{target}: SQLite's integrity check failed: {found}")
