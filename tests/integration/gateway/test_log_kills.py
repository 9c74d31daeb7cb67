"""SIGKILL at any moment while changes are acknowledged: each one that was is found by a pod with an empty disk."""

from __future__ import annotations

import multiprocessing
import os
import random
import select as wait
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import select

from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import open_database
from provisioning.gateway.core.database.log.epochs import Epochs
from provisioning.gateway.core.database.log.volume_files import VolumeFiles
from provisioning.gateway.core.database.tables import MetaRow
from tests.unit.gateway.log_databases import settings

WANTED, KILLS = 2000, 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def write_on(root: str, disk: str, told: int) -> None:
    """Write one row after the other and tell the number of each that was acknowledged; some commits are large."""
    database = open_database(settings(Path(root), disk), serves=True)
    assert database.log is not None
    database.log._shipper.log_bytes = 200_000  # type: ignore[attr-defined]  # several generations in each life
    number = int(time.time() * 1e6)
    while True:
        number += 1
        value = "x" * (20_000 if number % 17 == 0 else 10)
        database.run_now(partial(sql_helpers.set_meta, name=f"n-{number}", value=value))
        os.write(told, b"%d\n" % number)


def start(work: Callable[..., None], *arguments: object) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def found(root: Path, disk: str) -> set[int]:
    # As the next gateway: a command refuses a log whose last gateway was killed before its first sign of life.
    database = open_database(settings(root, disk), serves=True)
    try:
        names = database.run_now(lambda connection: connection.execute(select(MetaRow.name)).scalars().all())
        return {int(name.partition("-")[2]) for name in names if name.startswith("n-")}
    finally:
        database.close()


def test_two_thousand_acknowledged_changes_survive_kills_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - moments, no secrets
    # Migrated once, and not in every life that is to be killed.
    open_database(settings(tmp_path, "first")).close()
    acknowledged: set[int] = set()
    kills = 0
    while len(acknowledged) < WANTED or kills < KILLS:
        reads, told = os.pipe()
        process = start(write_on, str(tmp_path), f"disk-{kills}", told)
        os.close(told)
        if kills % 2:
            # On a slow machine nothing may be written within a second: then only every other kill comes before it.
            wait.select([reads], [], [], 60)
        time.sleep(chance.uniform(0.1, 1.0))
        process.kill()
        process.join()
        kills += 1
        with os.fdopen(reads) as heard:
            acknowledged |= {int(line) for line in heard.read().split("\n")[:-1] if line}
        # Every life begins on an empty disk; the gateway of the life before was the last to write.
        there = found(tmp_path, f"look-{kills}")
        assert acknowledged <= there, f"lost {len(acknowledged - there)} after {kills} kills"
        shutil.rmtree(tmp_path / f"look-{kills}")
    sys.stderr.write(f"\n{len(acknowledged)} acknowledged, {kills} kills: lost 0\n")


def claim(root: str, told: int) -> None:
    """Begin the next epoch as soon as the other one does."""
    epochs = Epochs(Path(root), VolumeFiles())
    for _ in range(200):
        try:
            epoch = epochs.begin("pod")
        except FileExistsError:
            continue
        os.write(told, b"%d\n" % epoch.number)


def test_an_epoch_is_given_to_one_of_two_processes_that_race_for_it(tmp_path: Path) -> None:
    reads, told = os.pipe()
    racing = [start(claim, str(tmp_path / "log"), told) for _ in range(2)]
    os.close(told)
    with os.fdopen(reads) as heard:
        numbers = [int(line) for line in heard.read().split()]
    for process in racing:
        process.join()
    assert len(numbers) == len(set(numbers))
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 200
