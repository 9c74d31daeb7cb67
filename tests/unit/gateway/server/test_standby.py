"""When a new gateway on a volume may start: not while another one is active, and at once without one."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from provisioning.gateway.__main__ import main
from provisioning.gateway.core.database.database import Database, open_database
from provisioning.gateway.core.database.log import generations, rebuild
from provisioning.gateway.core.database.log.epochs import Epoch, Epochs
from provisioning.gateway.core.database.log.liveness import Predecessor
from provisioning.gateway.core.database.log.log import EpochLog
from provisioning.gateway.server.standby import Standby
from tests.unit.gateway.conftest import PEPPER
from tests.unit.gateway.log_databases import elsewhere, epochs, put, settings, word

SILENCE = 60.0


class Clocks:
    """Both of a pod's clocks."""

    def __init__(self, wall: float) -> None:
        self.now = 0.0
        self.offset = wall

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.offset + self.now


def seen(epoch: Epoch, clocks: Clocks, pod_id: str = "pod-b") -> Predecessor:
    return Predecessor(epoch, pod_id, SILENCE, clocks.monotonic, clocks.wall)


@pytest.fixture
def epoch(tmp_path: Path) -> Epoch:
    """Return a new epoch of another pod."""
    return Epochs(tmp_path / "log").begin("pod-a")


def now_of(epoch: Epoch) -> float:
    liveness = epoch.liveness()
    assert liveness is not None
    return liveness.at


def test_a_gateway_silent_beyond_the_bound_is_considered_dead(epoch: Epoch) -> None:
    clocks = Clocks(now_of(epoch))
    predecessor = seen(epoch, clocks)
    for _ in range(20):
        clocks.now += SILENCE / 2
        epoch.beat("pod-a")
        clocks.offset = now_of(epoch) - clocks.now
        assert not predecessor.is_over()
    clocks.now += SILENCE - 1
    assert not predecessor.is_over()
    clocks.now += 2
    assert predecessor.is_over()


def test_a_clock_skew_of_a_minute_does_not_matter(epoch: Epoch) -> None:
    for error in (-SILENCE, SILENCE):
        assert not seen(epoch, Clocks(now_of(epoch) + error)).is_over()


def test_a_long_dead_gateway_is_not_waited_for(epoch: Epoch) -> None:
    assert seen(epoch, Clocks(now_of(epoch) + 86_400)).is_over()


def test_the_same_pod_and_a_graceful_stop_are_not_waited_for(epoch: Epoch) -> None:
    assert seen(epoch, Clocks(now_of(epoch)), "pod-a").is_over()
    assert not seen(epoch, Clocks(now_of(epoch))).is_over()
    epoch.close()
    assert seen(epoch, Clocks(now_of(epoch))).is_over()


def asked(epoch: Epoch) -> bool:
    return epoch.is_handover_requested


async def test_the_handover_is_requested_when_comfyui_is_ready(tmp_path: Path) -> None:
    given = settings(tmp_path, pod_id="pod-b")
    epochs = Epochs(tmp_path / "log")
    epoch = epochs.begin("pod-a")
    answers = False

    async def is_ready() -> bool:
        return answers

    standby = Standby(given, epochs, is_ready)
    assert not await standby.is_due()
    assert not asked(epoch)
    answers = True
    assert not await standby.is_due()
    assert asked(epoch)
    epoch.close()
    assert await standby.is_due()


async def test_a_gateway_that_handed_over_does_not_request_a_handover(tmp_path: Path) -> None:
    given = settings(tmp_path, pod_id="pod-a", silence_seconds=60)
    epochs = Epochs(tmp_path / "log")
    epochs.begin("pod-a")
    newer = epochs.begin("pod-b")

    async def is_ready() -> bool:
        return True

    standby = Standby(given, epochs, is_ready)
    assert not await standby.is_due()
    assert not asked(newer)
    newer.close()
    assert not await standby.is_due(), "its gateway may be restarting"


async def test_a_gateway_that_handed_over_leaves_the_next_epoch_to_the_requester(tmp_path: Path) -> None:
    """It restarts at once, perhaps before the other pod has started; it does not wait forever for that pod."""
    epochs = Epochs(tmp_path / "log")
    own = epochs.begin("pod-a")
    own.ask("pod-b")
    own.close()

    async def is_ready() -> bool:
        return True

    def standby(silence_seconds: float) -> Standby:
        return Standby(settings(tmp_path, pod_id="pod-a", silence_seconds=silence_seconds), epochs, is_ready)

    assert not await standby(60).is_due()
    impatient = standby(0.01)
    await impatient.is_due()
    await asyncio.sleep(0.05)
    assert await impatient.is_due()


async def test_a_gateway_stopped_before_the_handover_continues(tmp_path: Path) -> None:
    epochs = Epochs(tmp_path / "log")
    epochs.begin("pod-a").ask("pod-b")

    async def is_ready() -> bool:
        return True

    assert await Standby(settings(tmp_path, pod_id="pod-a"), epochs, is_ready).is_due()


SLOW_PARTS = [(rebuild, "rebuild"), (generations, "write")]


@pytest.mark.parametrize(("module", "part"), SLOW_PARTS, ids=["the former log is read", "the first copy is written"])
def test_a_start_longer_than_the_bound_is_not_considered_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, part: str
) -> None:
    bound = 4.0
    given = settings(tmp_path, silence_seconds=bound)
    open_database(given).close()
    work, looks = getattr(module, part), []

    def slow(*arguments: object) -> None:
        newest = epochs(tmp_path).newest()
        assert newest is not None
        other = Predecessor(newest, "pod-b", bound)
        until = time.monotonic() + 1.5 * bound
        while time.monotonic() < until:
            looks.append(other.is_over())
            time.sleep(0.05)
        work(*arguments)

    monkeypatch.setattr(module, part, slow)
    database = open_database(given, serves=True)
    database.close()
    assert looks
    assert not any(looks)


def config(root: Path, disk: str = "disk") -> str:
    raw = {
        "upstream": "http://127.0.0.1:9", "database": str(root / disk / "gateway.db"), "log": str(root / "log"),
        "pepper": PEPPER, "pod_id": "pod",
    }  # fmt: skip
    (root / "gateway.json").write_text(json.dumps(raw))
    return str(root / "gateway.json")


def test_a_command_beside_a_gateway_succeeds_once_its_change_is_on_the_volume(tmp_path: Path) -> None:
    database = open_database(settings(tmp_path), serves=True)
    put(database, "n", 1)
    create = ["users", "create", "--config", config(tmp_path), "--name", "ann"]
    assert main(create) == 0
    there = elsewhere(tmp_path, "copy")
    assert names(there) == ["ann"]
    there.close()
    database.close()


def names(database: Database) -> list[str]:
    return database.run_now(lambda connection: list(connection.exec_driver_sql("SELECT name FROM users").scalars()))


def test_a_command_without_a_gateway_writes_an_epoch_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    assert main(["users", "create", "--config", config(tmp_path), "--name", "ann"]) == 0
    there = open_database(settings(tmp_path, "elsewhere"))
    assert names(there) == ["ann"]
    there.close()


def test_a_command_fails_when_the_gateway_stops_meanwhile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = open_database(settings(tmp_path), serves=True)
    put(database, "n", 1)
    assert isinstance(database.log, EpochLog)
    shipper = database.log._shipper
    assert shipper is not None
    shipper._ending = True
    shipper._woken.set()
    shipper._thread.join()
    assert main(["users", "create", "--config", config(tmp_path), "--name", "ann"]) == 2
    assert "did not reach the volume" in capsys.readouterr().err
    database.close()
    there = elsewhere(tmp_path, "copy")
    assert (word(there, "n"), names(there)) == ("1", [])
    there.close()


@pytest.mark.root
def test_commands_run_as_root_leave_files_owned_by_the_gateway(tmp_path: Path) -> None:
    open_database(settings(tmp_path)).close()
    for parent in [tmp_path, *list(tmp_path.parents)[:-2]]:
        parent.chmod(parent.stat().st_mode | 0o055)
    for name in ("disk", "log"):
        for path in (tmp_path / name, *(tmp_path / name).rglob("*")):
            os.chown(path, 10002, 10002)
    create = ["users", "create", "--config", config(tmp_path), "--name", "ann"]
    command = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(main(create)))
    command.start()
    command.join()
    assert command.exitcode == 0
    made = [found for name in ("disk", "log") for found in (tmp_path / name).rglob("*")]
    assert len({path.parent for path in made if path.name == "beat"}) == 2
    assert {found.stat().st_uid for found in made} == {10002}
