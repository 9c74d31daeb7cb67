"""A volume that stalls, fails or is full while the log is written."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest

from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import DatabaseError, open_database
from provisioning.gateway.core.database.log.health import NotOnVolume
from provisioning.gateway.core.problems import Code
from tests.unit.gateway.conftest import until
from tests.unit.gateway.log_databases import (
    BROKEN,
    FULL,
    FaultyVolume,
    change,
    elsewhere,
    not_refused,
    on,
    refused,
    settings,
    word,
)


async def test_a_stalled_volume_refuses_changes_and_allows_reads(root: Path) -> None:
    volume = FaultyVolume()
    database = on(volume, root)
    await change(database, 1)
    volume.flows.clear()
    late = await refused(lambda: change(database, 2))
    assert isinstance(late, NotOnVolume)
    assert (late.code, late.entry.status) == (Code.STORE_UNAVAILABLE, 503)
    assert late.retry_after
    at_once = await refused(lambda: change(database, 3))
    assert not isinstance(at_once, NotOnVolume), "the change was refused before the commit"
    assert await database.read(partial(sql_helpers.get_meta, name="n")) == "2"
    volume.flows.set()
    await until(lambda: not_refused(database))
    await change(database, 4)
    there = elsewhere(root, "pod-2")
    assert word(there, "n") == "4"
    there.close()
    database.close()


@pytest.mark.parametrize("half", [False, True])
async def test_a_transient_volume_error_is_retried_without_loss(root: Path, half: bool) -> None:
    volume = FaultyVolume()
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


async def test_a_full_volume_is_reported_at_once_with_a_remedy(root: Path) -> None:
    volume = FaultyVolume()
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


async def test_concurrent_changes_share_one_sync(root: Path) -> None:
    volume = FaultyVolume()
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


def test_a_missing_volume_prevents_the_start(root: Path) -> None:
    with pytest.raises(DatabaseError, match="gateway-log"):
        open_database(settings(root, log=str(root / "volume" / "gateway-log")))
    assert not (root / "volume").exists()
