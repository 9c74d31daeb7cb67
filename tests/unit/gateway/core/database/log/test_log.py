"""Acknowledged changes are on the volume, where a new pod finds them."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from provisioning.gateway.core.database.database import Database, open_database
from tests.unit.gateway.conftest import PEPPER
from tests.unit.gateway.log_databases import (
    change,
    elsewhere,
    put,
    settings,
    word,
)


def test_every_acknowledged_change_survives_the_loss_of_the_disk(root: Path) -> None:
    database = open_database(settings(root))
    for number in range(20):
        put(database, "n", number)
        if number % 5 == 0:
            there = elsewhere(root, f"pod-{number}")
            assert word(there, "n") == str(number)
            there.close()
    database.close()


def test_the_log_replaces_a_missing_or_outdated_local_database(root: Path) -> None:
    database = open_database(settings(root))
    put(database, "n", "old")
    shutil.copytree(root / "disk", root / "kept")
    put(database, "n", "new")
    database.close()
    for name in ("fresh", "kept"):
        again = open_database(settings(root, name))
        assert word(again, "n") == "new"
        again.close()


def test_the_local_file_is_never_synced(root: Path) -> None:
    database = open_database(settings(root))
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 0), ("wal_autocheckpoint", 0)):
        found = database.run_now(lambda connection, name=pragma: connection.exec_driver_sql(f"PRAGMA {name}").scalar())  # type: ignore[misc]
        assert found == value
    database.close()


def test_two_stacks_on_one_volume_have_separate_logs(root: Path) -> None:
    """Each stack has its own pepper; on the volume of a destroyed stack a new one begins with an empty database."""
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


def test_a_new_pepper_imports_the_log_of_the_former_one(
    root: Path,
) -> None:
    new = "another-pepper-0123456789"
    for pepper, former, found in ((PEPPER, [], None), (new, [PEPPER], PEPPER), (PEPPER, [new], new)):
        # Each start has an empty disk.
        disk = f"disk-{pepper}-{len(former)}"
        database = open_database(settings(root, disk, pepper=pepper, former_encryption_keys=former))
        assert word(database, "n") == found
        put(database, "n", pepper)
        database.close()


def test_the_gateway_can_use_its_folders_on_a_volume_that_maps_owners_to_root(root: Path) -> None:
    before = os.umask(0o000)
    try:
        open_database(settings(root)).close()
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o007 for path in (root / "log").rglob("*") if path.is_dir()}
    assert modes == {0o007}


@pytest.mark.slow
async def test_cost_per_change(root: Path, empty_file: Path) -> None:
    """The cost is printed; the bound only excludes delays of a second."""
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
