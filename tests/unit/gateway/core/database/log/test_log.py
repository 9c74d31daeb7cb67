"""What is acknowledged is on the volume: another pod that has nothing else finds it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database, DatabaseError, open_database
from provisioning.gateway.core.database.log import generations, opening, rebuild, records, snapshots
from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys
from provisioning.gateway.core.database.log.health import NotOnVolume
from provisioning.gateway.core.database.log.log import EpochLog
from provisioning.gateway.core.database.log.volume_files import VolumeFiles
from provisioning.gateway.core.problems import Code, Problem
from tests.unit.gateway.conftest import PEPPER, until
from tests.unit.gateway.shipping import (
    BROKEN,
    FULL,
    UnkindVolume,
    elsewhere,
    epochs,
    not_refused,
    on,
    put,
    settings,
    word,
)


@pytest.fixture
def root(tmp_path: Path, empty_file: Path) -> Path:
    """Return a place with a container disk, on which there is an empty database, and a volume."""
    (tmp_path / "disk").mkdir()
    shutil.copy(empty_file, tmp_path / "disk" / "gateway.db")
    return tmp_path


def test_every_acknowledged_change_is_there_on_another_disk(root: Path) -> None:
    database = open_database(settings(root))
    for number in range(20):
        put(database, "n", number)
        if number % 5 == 0:
            there = elsewhere(root, f"pod-{number}")
            assert word(there, "n") == str(number)
            there.close()
    database.close()


def test_an_empty_disk_is_filled_from_the_log_and_an_old_one_is_not_believed(root: Path) -> None:
    database = open_database(settings(root))
    put(database, "n", "old")
    shutil.copytree(root / "disk", root / "kept")
    put(database, "n", "new")
    database.close()
    for name in ("fresh", "kept"):
        again = open_database(settings(root, name))
        assert word(again, "n") == "new"
        again.close()


def test_the_local_file_is_never_waited_for(root: Path) -> None:
    database = open_database(settings(root))
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 0), ("wal_autocheckpoint", 0)):
        found = database.run_now(lambda connection, name=pragma: connection.exec_driver_sql(f"PRAGMA {name}").scalar())  # type: ignore[misc]
        assert found == value
    database.close()


def newest_log(root: Path) -> Path:
    return max((root / "log").glob("*/epoch-*/log-*"))


@pytest.mark.slow
def test_a_tail_that_is_torn_anywhere_costs_what_was_in_the_tail_and_no_more(root: Path) -> None:
    """At every byte of the last record's head, and here and there in its content; cut off, and overwritten."""
    database = open_database(settings(root))
    put(database, "n", "one")
    put(database, "n", "two")
    whole = newest_log(root).stat().st_size
    put(database, "n", "three")
    full = newest_log(root).read_bytes()
    shutil.copytree(root / "log", root / "torn" / "log")
    database.close()
    log, keys = newest_log(root / "torn"), ChecksumKeys([PEPPER])
    epoch = epochs(root / "torn").newest()
    assert epoch is not None
    chosen = [*range(whole, whole + 30), *range(whole + 30, len(full), len(full) // 20), len(full) - 1]
    for cut in chosen:
        for torn in (full[:cut], full[:cut] + bytes([full[cut] ^ 0x41]) + full[cut + 1 :], full[:cut] + b"\0" * 500):
            log.write_bytes(torn)
            rebuild.rebuild(epoch, keys, root / "torn.db")
            connection = sqlite3.connect(root / "torn.db")
            assert connection.execute("SELECT value FROM meta WHERE name = 'n'").fetchone() == ("two",), cut
            connection.close()
    log.write_bytes(full)
    rebuild.rebuild(epoch, keys, root / "torn.db")
    connection = sqlite3.connect(root / "torn.db")
    assert connection.execute("SELECT value FROM meta WHERE name = 'n'").fetchone() == ("three",)
    connection.close()


def records_of(log: bytes) -> list[int]:
    """Return where the records of a log begin."""
    starts, at = [], records.HEAD_BYTES
    while at < len(log):
        starts.append(at)
        at += 28 + int.from_bytes(log[at : at + 4], "big")
    return starts


def flipped(log: bytes, at: int) -> bytes:
    return log[:at] + bytes([log[at] ^ 0x41]) + log[at + 1 :]


@pytest.fixture
def four(root: Path) -> tuple[Path, bytes]:
    """Return a log of four changes, and what is in it."""
    database = open_database(settings(root))
    for number in range(4):
        put(database, "n", number)
    log = newest_log(root)
    whole = log.read_bytes()
    database.close()
    return log, whole


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_damaged_record_before_whole_ones_is_no_torn_tail(root: Path, four: tuple[Path, bytes], which: int) -> None:
    """In its length, its place, its digest, and its content: what follows it was acknowledged."""
    log, whole = four
    begin = records_of(whole)[-4:][which]
    for at in (begin + 2, begin + 10, begin + 20, begin + 28, begin + 500):
        log.write_bytes(flipped(whole, at))
        with pytest.raises(DatabaseError, match=rf"damaged at byte {begin}, before.*make restore"):
            open_database(settings(root, f"disk-{at}"))


def test_a_part_that_is_gone_before_whole_records_is_no_torn_tail(root: Path, four: tuple[Path, bytes]) -> None:
    """A volume may give back zeros; also in place of the head."""
    log, whole = four
    starts = records_of(whole)[-4:]
    for begin, end in ((0, starts[1]), (0, records.HEAD_BYTES), (starts[0] + 7, starts[1] + 99)):
        log.write_bytes(whole[:begin] + bytes(end - begin) + whole[end:])
        with pytest.raises(DatabaseError, match=r"make restore"):
            open_database(settings(root, f"disk-{begin}-{end}"))


def test_a_large_change_that_was_torn_is_cut(root: Path) -> None:
    database = open_database(settings(root))
    put(database, "n", "kept")
    put(database, "n", os.urandom(500_000).hex())
    log = newest_log(root)
    whole = log.read_bytes()
    database.close()
    log.write_bytes(flipped(whole, records_of(whole)[-1] + 5000))
    again = open_database(settings(root, "another"))
    assert word(again, "n") == "kept"
    again.close()


def test_what_others_wrote_into_the_log_is_refused(root: Path) -> None:
    database = open_database(settings(root))
    put(database, "n", "1")
    database.close()
    [copy] = (root / "log").glob("*/epoch-*/snapshot-*")
    raw = bytearray(copy.read_bytes())
    raw[5000] ^= 1
    copy.write_bytes(raw)
    with pytest.raises(DatabaseError, match=r"was changed since it was written.*make restore"):
        open_database(settings(root))


def test_two_stacks_on_one_volume_never_meet(root: Path) -> None:
    """Each has a pepper of its own; the volume of a stack that is gone serves a new one, which begins empty."""
    database = open_database(settings(root))
    put(database, "n", "first")
    other = open_database(settings(root, "another", pepper="another-pepper-0123456789", pod_id="pod-2"))
    assert word(other, "n") is None
    put(other, "n", "second")
    put(database, "m", "goes on")
    other.close()
    database.close()
    again = open_database(settings(root))
    assert (word(again, "n"), word(again, "m")) == ("first", "goes on")
    again.close()


def test_a_new_pepper_takes_over_what_was_written_under_the_former_one_and_never_goes_back_behind_it(
    root: Path,
) -> None:
    new = "another-pepper-0123456789"
    for pepper, former, found in ((PEPPER, [], None), (new, [PEPPER], PEPPER), (PEPPER, [new], new)):
        # Each time on an empty disk.
        disk = f"disk-{pepper}-{len(former)}"
        database = open_database(settings(root, disk, pepper=pepper, former_encryption_keys=former))
        assert word(database, "n") == found
        put(database, "n", pepper)
        database.close()


def fill(connection: Connection, number: int) -> None:
    sql_helpers.set_meta(connection, "n", str(number))
    sql_helpers.set_meta(connection, f"big-{number % 40}", "x" * 3000)


async def test_a_new_generation_begins_now_and_then_and_nothing_waits_for_it(root: Path) -> None:
    database = on(UnkindVolume(), root, patience_seconds=30, log_bytes=50_000)
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


async def test_logs_follow_on_each_other_while_the_copy_between_them_is_missing(root: Path) -> None:
    """As when a pod ends while the copy of a new generation is being written."""
    volume = UnkindVolume()
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
    with pytest.raises(DatabaseError, match="is gone"):
        open_database(settings(root / "holed"))
    database.close()


def test_a_copy_that_is_removed_while_it_is_read_is_not_taken_for_all_there_was(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that serves meanwhile writes a newer copy, and removes the former one and its log."""
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


def test_on_a_volume_that_gives_everything_to_root_and_obeys_modes_the_gateway_can_enter_its_own(root: Path) -> None:
    before = os.umask(0o000)
    try:
        open_database(settings(root)).close()
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o007 for path in (root / "log").rglob("*") if path.is_dir()}
    assert modes == {0o007}


async def refused(work: Callable[[], object]) -> Problem:
    with pytest.raises(Problem) as told:
        await asyncio.wait_for(work(), 30)  # type: ignore[arg-type]
    return told.value


async def change(database: Database, value: object) -> None:
    await database.run(partial(sql_helpers.set_meta, name="n", value=str(value)))


async def test_while_the_volume_stalls_changes_are_refused_and_reads_go_on(root: Path) -> None:
    volume = UnkindVolume()
    database = on(volume, root)
    await change(database, 1)
    volume.flows.clear()
    late = await refused(lambda: change(database, 2))
    assert isinstance(late, NotOnVolume)
    assert (late.code, late.entry.status) == (Code.STORE_UNAVAILABLE, 503)
    assert late.retry_after
    at_once = await refused(lambda: change(database, 3))
    assert not isinstance(at_once, NotOnVolume), "nothing was written, so nothing was waited for"
    assert await database.read(partial(sql_helpers.get_meta, name="n")) == "2"
    volume.flows.set()
    await until(lambda: not_refused(database))
    await change(database, 4)
    there = elsewhere(root, "pod-2")
    assert word(there, "n") == "4"
    there.close()
    database.close()


@pytest.mark.parametrize("half", [False, True])
async def test_a_volume_that_fails_for_a_moment_is_tried_again_and_nothing_is_left_out(root: Path, half: bool) -> None:
    volume = UnkindVolume()
    database = on(volume, root, patience_seconds=60)
    await change(database, 1)
    volume.errno, volume.half = BROKEN, half
    waiting = [asyncio.create_task(change(database, number)) for number in (2, 3)]
    await asyncio.sleep(0.5)
    assert not any(task.done() for task in waiting), "it is not acknowledged"
    volume.errno = 0
    await asyncio.gather(*waiting)
    there = elsewhere(root, "pod-2")
    assert word(there, "n") == "3"
    there.close()
    database.close()


async def test_a_full_volume_is_told_at_once_with_its_remedy(root: Path) -> None:
    volume = UnkindVolume()
    database = on(volume, root, patience_seconds=60)
    await change(database, 1)
    volume.errno = FULL
    began = time.monotonic()
    for _ in range(2):
        told = await refused(lambda: change(database, 2))
        assert (told.code, told.entry.status) == (Code.STORAGE_FULL, 507)
        assert "volume.sizeGb" in told.detail
    assert time.monotonic() - began < 30
    volume.errno = 0
    await until(lambda: not_refused(database))
    await change(database, 3)
    there = elsewhere(root, "pod-2")
    assert word(there, "n") == "3"
    there.close()
    database.close()


async def test_those_who_wait_together_share_one_sync(root: Path) -> None:
    volume = UnkindVolume()
    database = on(volume, root, patience_seconds=30)
    await change(database, 0)
    volume.flows.clear()
    waiting = [asyncio.create_task(change(database, number)) for number in range(30)]
    await asyncio.sleep(0)
    # The database has one thread: when it has read this, it has committed all thirty changes.
    await database.read(lambda connection: None)
    before = volume.syncs
    volume.flows.set()
    await asyncio.gather(*waiting)
    assert volume.syncs - before <= 4
    database.close()


@pytest.mark.slow
async def test_what_it_costs(root: Path, empty_file: Path) -> None:
    """The figure is printed; the bound only tells that no second is lost somewhere."""
    (root / "plain").mkdir()
    plain_file = shutil.copy(empty_file, root / "plain" / "gateway.db")
    plain, logged = Database(plain_file), open_database(settings(root))
    took = {plain: 0.0, logged: 0.0}
    for _ in range(5):
        for database in took:
            began = time.perf_counter()
            for number in range(40):
                await change(database, number)
            took[database] += time.perf_counter() - began
    each = {database: seconds / 200 * 1000 for database, seconds in took.items()}
    sys.stderr.write(
        f"\nms per acknowledged change: {each[logged]:.2f} with the log, {each[plain]:.2f} with a rollback journal "
        f"on the same disk, ratio {each[logged] / each[plain]:.2f}\n"
    )
    assert each[logged] < 1000
    plain.close()
    logged.close()


def test_a_volume_that_is_not_there_stops_the_start(root: Path) -> None:
    with pytest.raises(DatabaseError, match="gateway-log"):
        open_database(settings(root, log=str(root / "volume" / "gateway-log")))
    assert not (root / "volume").exists()


@pytest.mark.parametrize("reads_for", [0.0, 0.03])
async def test_readers_beside_the_gateway_do_not_spoil_a_new_generation(root: Path, reads_for: float) -> None:
    """They keep a checkpoint from emptying the WAL file, which SQLite then begins anew by itself at a later commit."""
    database = on(UnkindVolume(), root, patience_seconds=30, log_bytes=30_000)
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


async def test_a_wal_file_that_sqlite_begins_anew_by_itself_is_followed(root: Path) -> None:
    """As it does when all of it is in the database file, and the reader because of which it was not emptied is gone."""
    database = on(UnkindVolume(), root, patience_seconds=30, log_bytes=30_000)
    log = database.log
    assert isinstance(log, EpochLog)
    assert log._shipper is not None
    writer, followed = log._shipper._writer, False
    reader = sqlite3.connect(root / "disk" / "gateway.db", isolation_level=None)
    number = 0
    while not followed and number < 1000:
        for statement in ("BEGIN", "SELECT count(*) FROM meta"):
            reader.execute(statement).fetchall()
        # It reads what was before this change, then what is now: the file cannot be emptied meanwhile.
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


async def test_a_generation_that_cannot_be_begun_stops_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = 0

    def fails(_connection: sqlite3.Connection) -> tuple[bool, int]:
        nonlocal failed
        failed += 1
        raise sqlite3.OperationalError("disk I/O error")

    database = on(UnkindVolume(), root, patience_seconds=30, log_bytes=30_000)
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
