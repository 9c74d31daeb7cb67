"""The log on a network volume as RunPod has them, by FUSE: quota, errors, stalls, and what a change costs there."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database, open_database
from provisioning.gateway.core.problems import Code, Problem
from tests.emulator.runtimes import volume_servers
from tests.emulator.runtimes.volume_behaviour import Behaviour, Orders
from tests.emulator.runtimes.volume_servers import VolumeServers
from tests.unit.gateway.conftest import until
from tests.unit.gateway.log_databases import not_refused, settings, word

_REASON = volume_servers.why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.timeout(300),
    pytest.mark.skipif(_REASON is not None or os.geteuid() != 0, reason=f"no volumes by FUSE: {_REASON}"),
]

KIND = Behaviour(open_ms=1.0)


class NetworkVolume:
    """A volume as two pods have it, seen through its server's mount."""

    def __init__(self, folder: Path) -> None:
        self._plain = folder / "v1"
        self._plain.mkdir()
        self._servers = VolumeServers(folder / "state")
        mount = self._servers.claim("pod", self._plain, KIND)
        self.path = Path(f"/proc/{mount.server}/root{mount.path}")

    def behave(self, behaviour: Behaviour) -> None:
        self._servers.behave("v1", behaviour)

    def order(self, orders: Orders) -> None:
        self._servers.order("v1", orders)

    def end(self) -> None:
        self._servers.release("pod")


@pytest.fixture
async def volume(tmp_path: Path) -> AsyncIterator[NetworkVolume]:
    made = NetworkVolume(tmp_path)
    yield made
    made.behave(KIND)
    made.order(Orders())
    await asyncio.to_thread(made.end)


def opened(root: Path, volume: NetworkVolume, disk: str = "disk") -> Database:
    return open_database(settings(root, disk, log=str(volume.path / "gateway-log"), volume_patience_seconds=5))


async def change(database: Database, value: int) -> None:
    await database.run(partial(sql_helpers.set_meta, name="n", value=str(value)))


async def test_what_a_change_costs_where_opening_takes_a_millisecond(tmp_path: Path, volume: NetworkVolume) -> None:
    there, here = opened(tmp_path, volume), open_database(settings(tmp_path, "local"))
    took = {there: 0.0, here: 0.0}
    for _ in range(5):
        for database in took:
            began = time.perf_counter()
            for number in range(30):
                await change(database, number)
            took[database] += time.perf_counter() - began
    for database in took:
        database.close()
    each = [seconds / 150 * 1000 for seconds in took.values()]
    sys.stderr.write(
        f"\nms per acknowledged change: {each[0]:.2f} on the network volume, {each[1]:.2f} on a local disk\n"
    )
    assert each[0] < 1000


async def test_a_stall_and_errors_lose_nothing_and_reads_go_on(tmp_path: Path, volume: NetworkVolume) -> None:
    database = opened(tmp_path, volume)
    await change(database, 1)
    stalled_until = time.time() + 20
    volume.order(Orders(stalled_until=stalled_until))
    with pytest.raises(Problem) as late:
        await change(database, 2)
    assert (late.value.code, late.value.entry.status) == (Code.STORE_UNAVAILABLE, 503)
    assert await database.read(partial(sql_helpers.get_meta, name="n")) == "2"
    assert time.time() < stalled_until, "the read did not wait for the volume"
    await until(lambda: not_refused(database))
    volume.order(Orders(failing_writes=2))
    done = 0
    for number in range(3, 40):
        try:
            await change(database, number)
        except Problem:
            await asyncio.sleep(0.1)
        else:
            done = number
    assert done == 39
    again = opened(tmp_path, volume, "second")
    assert word(again, "n") == "39"
    again.close()
    with pytest.raises(Problem):
        await change(database, 40)
    database.close()


async def fill(database: Database) -> None:
    for number in range(2, 200):
        await change(database, number)


async def test_at_its_size_a_change_is_told_the_remedy_and_room_lets_it_go_on(
    tmp_path: Path, volume: NetworkVolume
) -> None:
    database = opened(tmp_path, volume)
    await change(database, 1)
    full = volume.path / "models"
    full.write_bytes(b"x" * 1_000_000)
    volume.behave(Behaviour(open_ms=1.0, quota_bytes=1_000_000))
    with pytest.raises(Problem) as told:
        await fill(database)
    assert (told.value.code, told.value.entry.status) == (Code.STORAGE_FULL, 507)
    assert "volume.sizeGb" in told.value.detail
    full.unlink()
    await until(lambda: not_refused(database))
    await change(database, 200)
    database.close()
    again = opened(tmp_path, volume, "second")
    assert word(again, "n") == "200"
    again.close()
