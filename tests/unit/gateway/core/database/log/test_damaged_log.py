"""Torn, damaged and forged logs."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from provisioning.gateway.core.database.database import DatabaseError, open_database
from provisioning.gateway.core.database.log import rebuild, records
from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys
from tests.unit.gateway.conftest import PEPPER
from tests.unit.gateway.log_databases import (
    epochs,
    put,
    settings,
    word,
)


def newest_log(root: Path) -> Path:
    return max((root / "log").glob("*/epoch-*/log-*"))


@pytest.mark.slow
def test_a_torn_tail_loses_only_the_changes_in_it(root: Path) -> None:
    """Cut or overwritten at every byte of the last record's head, and at some bytes of its content."""
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
    """Return the offsets of the records in a log."""
    starts, at = [], records.HEAD_BYTES
    while at < len(log):
        starts.append(at)
        at += 28 + int.from_bytes(log[at : at + 4], "big")
    return starts


def flipped(log: bytes, at: int) -> bytes:
    return log[:at] + bytes([log[at] ^ 0x41]) + log[at + 1 :]


@pytest.fixture
def four(root: Path) -> tuple[Path, bytes]:
    """Return a log of four changes and its content."""
    database = open_database(settings(root))
    for number in range(4):
        put(database, "n", number)
    log = newest_log(root)
    whole = log.read_bytes()
    database.close()
    return log, whole


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_damaged_record_before_intact_ones_is_an_error(root: Path, four: tuple[Path, bytes], which: int) -> None:
    """Damage to length, offset, digest or content; the records after it were acknowledged."""
    log, whole = four
    begin = records_of(whole)[-4:][which]
    for at in (begin + 2, begin + 10, begin + 20, begin + 28, begin + 500):
        log.write_bytes(flipped(whole, at))
        with pytest.raises(DatabaseError, match=rf"damaged at byte {begin}, before.*make restore"):
            open_database(settings(root, f"disk-{at}"))


def test_a_missing_part_before_intact_records_is_an_error(root: Path, four: tuple[Path, bytes]) -> None:
    """A volume may return zeros, even for the head."""
    log, whole = four
    starts = records_of(whole)[-4:]
    for begin, end in ((0, starts[1]), (0, records.HEAD_BYTES), (starts[0] + 7, starts[1] + 99)):
        log.write_bytes(whole[:begin] + bytes(end - begin) + whole[end:])
        with pytest.raises(DatabaseError, match=r"make restore"):
            open_database(settings(root, f"disk-{begin}-{end}"))


def test_a_torn_large_change_is_cut_off(root: Path) -> None:
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


def test_a_forged_log_is_refused(root: Path) -> None:
    database = open_database(settings(root))
    put(database, "n", "1")
    database.close()
    [copy] = (root / "log").glob("*/epoch-*/snapshot-*")
    raw = bytearray(copy.read_bytes())
    raw[5000] ^= 1
    copy.write_bytes(raw)
    with pytest.raises(DatabaseError, match=r"modified since it was written.*make restore"):
        open_database(settings(root))
