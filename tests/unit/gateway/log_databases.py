"""Databases with a log, volumes that stall or fail, and copies of a log on another container disk."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection

from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database, open_database
from provisioning.gateway.core.database.log import opening
from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys
from provisioning.gateway.core.database.log.epochs import Epochs
from provisioning.gateway.core.database.log.local_state import LocalLock
from provisioning.gateway.core.database.log.log import EpochLog
from provisioning.gateway.core.database.log.volume_files import VolumeFiles
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.core.settings import GatewaySettings
from tests.unit.gateway.conftest import PEPPER


def settings(root: Path, disk: str = "disk", **more: object) -> GatewaySettings:
    """Return the settings of a gateway whose container disk is one folder and whose volume is another."""
    (root / disk).mkdir(exist_ok=True)
    raw: dict[str, Any] = {
        "upstream": "http://127.0.0.1:9", "database": str(root / disk / "gateway.db"), "log": str(root / "log"),
        "pepper": PEPPER, "pod_id": "pod",
    }  # fmt: skip
    return GatewaySettings.model_validate_json(json.dumps(raw | more))


def put(database: Database, name: str, value: object) -> None:
    database.run_now(partial(sql_helpers.set_meta, name=name, value=str(value)))


def word(database: Database, name: str) -> str | None:
    return database.run_now(partial(sql_helpers.get_meta, name=name))


def elsewhere(root: Path, name: str) -> Database:
    """Open the log as a pod does that has nothing but a copy of the volume, as it is at this moment."""
    for left in reversed(range(20)):
        try:
            shutil.copytree(root / "log", root / name / "log")
            break
        except shutil.Error:
            # A generation ended meanwhile, and its files are gone.
            shutil.rmtree(root / name)
            if not left:
                raise
    return open_database(settings(root / name))


def epochs(root: Path) -> Epochs:
    """Return the epochs on a volume, under the tests' pepper."""
    return opening.epochs_of(settings(root))


class FaultyVolume(VolumeFiles):
    """A volume that stalls, and fails with an errno."""

    def __init__(self) -> None:
        self.flows = Event()
        self.flows.set()
        self.errno = 0
        self.half = False
        """Whether a write that fails leaves a part of itself."""
        self.syncs = 0

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        self._obey()
        if self.errno and self.half:
            super().write(descriptor, data[: len(data) // 2], offset)
        self._fail()
        super().write(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        self._obey()
        self._fail()
        self.syncs += 1
        super().sync(descriptor)

    def exists(self, path: Path) -> bool:
        self._obey()
        return super().exists(path)

    def _obey(self) -> None:
        self.flows.wait(60)

    def _fail(self) -> None:
        if self.errno:
            raise OSError(self.errno, os.strerror(self.errno))


FULL, BROKEN = errno.EDQUOT, errno.EIO


def on(volume: VolumeFiles, root: Path, patience_seconds: float = 3.0, log_bytes: int | None = None) -> Database:
    """Return a database whose log is on such a volume."""
    given = settings(root)
    file = root / "disk" / "gateway.db"
    lock = LocalLock(file)
    assert lock.take()
    found = Epochs(opening.epochs_of(given).root, volume)
    log = EpochLog(found, found.begin("pod"), ChecksumKeys(given.log_secrets), lock, patience_seconds)
    log.log_bytes = log_bytes or log.log_bytes
    return Database(given.database, log=log)


def not_refused(database: Database) -> bool:
    """Say whether changes are taken."""
    try:
        database.check()
    except Problem:
        return False
    return True


def fill(connection: Connection, number: int) -> None:
    sql_helpers.set_meta(connection, "n", str(number))
    sql_helpers.set_meta(connection, f"big-{number % 40}", "x" * 3000)


async def refused(work: Callable[[], object]) -> Problem:
    with pytest.raises(Problem) as told:
        await asyncio.wait_for(work(), 30)  # type: ignore[arg-type]
    return told.value


async def change(database: Database, value: object) -> None:
    await database.run(partial(sql_helpers.set_meta, name="n", value=str(value)))
