"""A network volume's files without FUSE: what is shown, what is counted, what fails."""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.emulator.runtimes.volume_account import Account
from tests.emulator.runtimes.volume_behaviour import Behaviour, Home, Orders
from tests.emulator.runtimes.volume_faults import VolumeFaults
from tests.emulator.runtimes.volume_files import Files

QUICK = Behaviour(open_ms=0.0, quota_bytes=100)


@dataclass
class Volume:
    """A volume and what belongs to it."""

    home: Home
    account: Account
    files: Files

    def behave(self, **changes: object) -> None:
        self.home.behaviour().write(dataclasses.replace(QUICK, **changes))  # type: ignore[arg-type]

    def put(self, path: str, size: int) -> int:
        """Write a file of a size and return its handle."""
        handle = self.files.create(path, 0o600, os.O_WRONLY | os.O_TRUNC)
        self.files.write(path, b"x" * size, 0, handle)
        return handle

    def left(self, path: str, size: int) -> None:
        """Write a file and close it."""
        self.files.release(path, self.put(path, size))


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    (tmp_path / "files").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "files/before").write_bytes(b"x" * 10)
    os.link(tmp_path / "files/before", tmp_path / "files/again")
    home = Home(tmp_path / "home")
    home.behaviour().write(QUICK)
    faults = VolumeFaults(home)
    account = Account(tmp_path / "files", lambda: faults.quota_bytes)
    return Volume(home, account, Files(tmp_path / "files", faults, account, lambda: None))


def refused(error: pytest.ExceptionInfo[OSError]) -> str:
    return errno.errorcode[error.value.errno or 0]


def test_all_is_roots_and_modes_are_shown_fixed_or_as_they_are(volume: Volume) -> None:
    volume.left("/a", 1)
    volume.files.chmod("/a", 0o640)
    shown = volume.files.getattr("/a")
    assert (shown["st_uid"], shown["st_gid"], stat.S_IMODE(shown["st_mode"])) == (0, 0, 0o666)
    assert stat.S_IMODE(volume.files.getattr("/")["st_mode"]) == 0o777
    with pytest.raises(OSError, match="not permitted") as error:
        volume.files.chown("/a", 0, 0)
    assert refused(error) == "EPERM"
    volume.behave(modes="obeyed")
    assert stat.S_IMODE(volume.files.getattr("/a")["st_mode"]) == 0o600
    volume.files.chmod("/a", 0o640)
    assert stat.S_IMODE(volume.files.getattr("/a")["st_mode"]) == 0o640


def test_what_is_there_is_counted_once_and_writes_end_at_the_quota(volume: Volume) -> None:
    assert volume.account.used == 10
    handle = volume.put("/a", 80)
    with pytest.raises(OSError, match="quota") as error:
        volume.files.write("/a", b"x" * 11, 80, handle)
    assert (refused(error), volume.account.used) == ("EDQUOT", 90)
    assert volume.files.write("/a", b"y" * 50, 30, handle) == 50, "what is written over needs no room"
    assert volume.files.write("/a", b"x" * 10, 80, handle) == 10
    volume.behave(quota_bytes=0)
    assert volume.files.write("/a", b"x" * 1000, 90, handle) == 1000
    volume.files.release("/a", handle)
    assert volume.account.used == 1100


def test_a_deleted_file_counts_until_it_is_closed_and_a_second_name_keeps_it(volume: Volume) -> None:
    handle = volume.put("/a", 50)
    volume.files.unlink("/a")
    assert volume.account.used == 60
    assert volume.files.getattr(None, handle)["st_size"] == 50
    volume.files.release(None, handle)
    assert volume.account.used == 10
    volume.files.unlink("/before")
    assert volume.account.used == 10
    volume.files.unlink("/again")
    assert volume.account.used == 0


def test_cutting_replacing_and_lengthening_are_counted(volume: Volume) -> None:
    volume.left("/a", 50)
    volume.left("/b", 20)
    volume.files.rename("/b", "/a")
    assert volume.account.used == 30
    volume.files.truncate("/a", 5)
    assert volume.account.used == 15
    with pytest.raises(OSError, match="quota"):
        volume.files.truncate("/a", 91)
    assert volume.files.getattr("/a")["st_size"] == 5
    handle = volume.put("/a", 3)
    assert volume.account.used == 13
    volume.files.truncate(None, 40, handle)
    assert volume.account.used == 50
    volume.files.release("/a", handle)
    volume.files.rename("/a", "/a")
    assert volume.account.used == 50


def test_an_order_fails_the_next_writes_alone_and_holds_again_when_it_is_given_again(volume: Volume) -> None:
    handle = volume.put("/a", 1)
    for serial in (1, 2):
        volume.home.orders().write(Orders(serial=serial, failing_writes=2, error="EIO"))
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output") as error:
                volume.files.write("/a", b"x", 0, handle)
            assert refused(error) == "EIO"
        assert volume.files.write("/a", b"x", 0, handle) == 1
    volume.files.release("/a", handle)


def test_rates_of_errors_and_stalls(volume: Volume) -> None:
    handle = volume.put("/a", 1)
    volume.behave(eio_rate=1.0)
    for call in (lambda: volume.files.fsync("/a", 0, handle), lambda: volume.files.write("/a", b"x", 0, handle)):
        with pytest.raises(OSError, match="Input/output"):
            call()
    volume.behave(stall_rate=1.0, stall_seconds=0.2)
    began = time.monotonic()
    volume.files.write("/a", b"x", 0, handle)
    assert time.monotonic() - began >= 0.2
    volume.files.release("/a", handle)


def test_a_stall_holds_every_call_until_it_is_over(volume: Volume) -> None:
    volume.home.orders().write(Orders(serial=1, stalled_until=time.time() + 0.3))
    began = time.monotonic()
    assert sorted(name for name, _, _ in volume.files.readdir("/", volume.files.opendir("/")))[:2] == [".", ".."]
    assert time.monotonic() - began >= 0.25


def test_devices_are_refused_and_df_shows_a_cluster(volume: Volume) -> None:
    with pytest.raises(OSError, match="not permitted"):
        volume.files.mknod("/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    sizes = volume.files.statfs("/")
    assert sizes["f_frsize"] * sizes["f_blocks"] > 2 * 10**15


def test_a_behaviour_of_another_version_is_understood(volume: Volume) -> None:
    (volume.home.directory / "behaviour.json").write_text('{"modes": "obeyed", "colour": "blue"}', encoding="utf-8")
    assert volume.home.behaviour().read() == Behaviour(modes="obeyed")
