"""Generations of the log: a snapshot of the database and the changes since."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from provisioning.gateway.core.database.database import DatabaseError, open_database
from provisioning.gateway.core.database.log import generations, opening, snapshots
from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys
from provisioning.gateway.core.database.log.log import EpochLog
from provisioning.gateway.core.database.log.volume_files import VolumeFiles
from tests.unit.gateway.log_databases import (
    FaultyVolume,
    elsewhere,
    epochs,
    fill,
    on,
    put,
    settings,
    word,
)


async def test_a_new_generation_begins_without_blocking_changes(root: Path) -> None:
    database = on(FaultyVolume(), root, patience_seconds=30, log_bytes=50_000)
    for number in range(200):
        await database.run(partial(fill, number=number))
        if number % 50 == 49:
            there = elsewhere(root, f"pod-{number}")
            assert word(there, "n") == str(number)
            there.close()
    database.close()
    [epoch] = epochs(root).newest_first()
    [newest] = epoch.generations("snapshot")
    assert newest > 1
    # The newest has no log before its first change.
    assert all(generation >= newest for generation in epoch.generations("log"))
    there = elsewhere(root, "after")
    assert word(there, "n") == "199"
    there.close()


async def test_consecutive_logs_are_applied_when_the_snapshot_between_them_is_missing(root: Path) -> None:
    """A pod ends while the snapshot of a new generation is being written."""
    volume = FaultyVolume()
    database = on(volume, root, patience_seconds=30, log_bytes=50_000)
    log = database.log
    assert isinstance(log, EpochLog)
    copier = log._shipper._copier  # type: ignore[union-attr]
    copier._failed_at = time.monotonic()
    number = 0
    while len(log.epoch.generations("log")) < 2:
        await database.run(partial(fill, number=number))
        number += 1
    for more in range(5):
        await database.run(partial(fill, number=number + more))
    assert log.epoch.generations("snapshot") == [1]
    there = elsewhere(root, "pod-2")
    assert word(there, "n") == str(number + 4)
    there.close()
    shutil.copytree(root / "log", root / "holed" / "log")
    min((root / "holed" / "log").glob("*/epoch-*/log-*")).unlink()
    with pytest.raises(DatabaseError, match="is missing"):
        open_database(settings(root / "holed"))
    database.close()


def test_a_snapshot_removed_during_the_read_is_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running gateway writes a newer snapshot meanwhile and removes the former one and its log."""
    database = open_database(settings(root))
    put(database, "n", "new")
    database.close()
    whole, copy, read = root / "whole.db", root / "copy.db", snapshots.read
    opening.write_newest(settings(root), whole)
    [epoch] = epochs(root).newest_first()

    def overtaken(path: Path, keys: ChecksumKeys, target: Path) -> None:
        read(path, keys, target)
        if path == epoch.snapshot(1):
            snapshots.write(VolumeFiles(), epoch.snapshot(2), keys, whole.stat().st_size, iter([whole.read_bytes()]))
            epoch.remove_before(2)

    monkeypatch.setattr(snapshots, "read", overtaken)
    assert opening.write_newest(settings(root), copy)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'n'").fetchone() == ("new",)


@pytest.mark.parametrize("reads_for", [0.0, 0.03])
async def test_concurrent_readers_do_not_corrupt_a_new_generation(root: Path, reads_for: float) -> None:
    """Readers prevent the truncation of the WAL file, which SQLite then restarts at a later commit."""
    database = on(FaultyVolume(), root, patience_seconds=30, log_bytes=30_000)
    stop = threading.Event()

    def read() -> None:
        connection = sqlite3.connect(root / "disk" / "gateway.db", isolation_level=None)
        while not stop.is_set():
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM meta").fetchone()
            time.sleep(reads_for)
            connection.execute("COMMIT")
        connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(300):
            await database.run(partial(fill, number=number))
            if number % 100 == 99:
                there = elsewhere(root, f"pod-{number}")
                assert word(there, "n") == str(number)
                there.close()
    finally:
        stop.set()
        reader.join()
    database.close()
    [epoch] = epochs(root).newest_first()
    assert max(epoch.generations("snapshot")) > 1
    there = elsewhere(root, "after")
    assert word(there, "n") == "299"
    there.close()


async def test_a_wal_file_restarted_by_sqlite_is_followed(root: Path) -> None:
    """SQLite does so when all pages are in the database file and the reader that prevented the truncation is gone."""
    database = on(FaultyVolume(), root, patience_seconds=30, log_bytes=30_000)
    log = database.log
    assert isinstance(log, EpochLog)
    assert log._shipper is not None
    writer, followed = log._shipper._writer, False
    reader = sqlite3.connect(root / "disk" / "gateway.db", isolation_level=None)
    number = 0
    while not followed and number < 1000:
        for statement in ("BEGIN", "SELECT count(*) FROM meta"):
            reader.execute(statement).fetchall()
        # The open read transaction sees the state before this change: the file cannot be truncated meanwhile.
        await database.run(partial(fill, number=number))
        for statement in ("COMMIT", "BEGIN", "SELECT count(*) FROM meta"):
            reader.execute(statement).fetchall()
        if writer.length > log._shipper._wal.main_bytes():
            await asyncio.sleep(0.6)
        salts, due = writer.shipped.salts, writer.may_restart_at == writer.shipped.frames
        reader.execute("COMMIT")
        number += 1
        await database.run(partial(fill, number=number))
        followed = due and writer.shipped.salts != salts
    reader.close()
    assert followed
    there = elsewhere(root, "pod-2")
    assert word(there, "n") == str(number)
    there.close()
    database.close()


async def test_a_failed_generation_does_not_stop_shipping(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = 0

    def fails(_connection: sqlite3.Connection) -> tuple[bool, int]:
        nonlocal failed
        failed += 1
        raise sqlite3.OperationalError("disk I/O error")

    database = on(FaultyVolume(), root, patience_seconds=30, log_bytes=30_000)
    monkeypatch.setattr(generations, "checkpoint", fails)
    began = time.monotonic()
    for number in range(150):
        await database.run(partial(fill, number=number))
    assert 1 <= failed <= 1 + (time.monotonic() - began) / generations.AGAIN_SECONDS, "it is tried again later"
    monkeypatch.undo()
    there = elsewhere(root, "pod-2")
    assert word(there, "n") == "149"
    there.close()
    database.close()
