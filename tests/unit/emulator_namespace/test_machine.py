"""Settings of the machine are written down before they are changed, and put back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulator.runtimes import namespace_machine
from tests.emulator.runtimes.namespace_machine import MachineRecord

UPLINK = "net/ipv4/conf/eth0/forwarding"


@pytest.fixture
def sysctls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(namespace_machine, "forward_policy_drops", lambda: False)
    for key, value in {"net/ipv4/ip_forward": "0\n", UPLINK: "0\n", "net/ipv4/conf/eth1/forwarding": "1\n"}.items():
        (tmp_path / "sys" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / key).write_text(value, encoding="ascii")
    return tmp_path / "sys"


@pytest.fixture
def machine(tmp_path: Path, sysctls: Path) -> MachineRecord:
    return MachineRecord(tmp_path / "record" / "before.json", sysctls)


def test_only_what_does_not_forward_yet_is_changed_and_guarded(machine: MachineRecord, sysctls: Path) -> None:
    machine.open_the_way_out(["eth0", "eth1"])
    assert (sysctls / UPLINK).read_text(encoding="ascii") == "1"
    assert machine.guarded() == ["eth0"]
    assert (sysctls / "net/ipv4/ip_forward").read_text(encoding="ascii") == "0\n"


def test_the_last_pod_puts_back_what_the_first_one_found(machine: MachineRecord, sysctls: Path, tmp_path: Path) -> None:
    machine.open_the_way_out(["eth0"])
    machine.open_the_way_out(["eth0"])
    machine.restore()
    assert (sysctls / UPLINK).read_text(encoding="ascii") == "0"
    assert not (tmp_path / "record").exists()
    machine.restore()


def test_the_record_is_on_disk_before_anything_is_changed(
    machine: MachineRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(MachineRecord, "_set", lambda *_: seen.append(machine.guarded()))
    machine.open_the_way_out(["eth0"])
    assert seen == [["eth0"]]


def test_forwarding_switched_on_by_somebody_meanwhile_stays_on(machine: MachineRecord, sysctls: Path) -> None:
    machine.open_the_way_out(["eth0"])
    (sysctls / "net/ipv4/ip_forward").write_text("1\n", encoding="ascii")
    machine.restore()
    assert (sysctls / UPLINK).read_text(encoding="ascii") == "1"


def test_a_record_from_before_a_reboot_counts_for_nothing(
    machine: MachineRecord, sysctls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.open_the_way_out(["eth0"])
    (sysctls / UPLINK).write_text("0\n", encoding="ascii")
    monkeypatch.setattr(namespace_machine, "boot_id", lambda: "another")
    assert machine.guarded() == []
    machine.open_the_way_out(["eth0"])
    assert (sysctls / UPLINK).read_text(encoding="ascii") == "1"


def test_an_interface_that_went_away_is_not_missed(machine: MachineRecord, sysctls: Path) -> None:
    machine.open_the_way_out(["eth0"])
    (sysctls / UPLINK).unlink()
    machine.restore()
    assert not (sysctls / UPLINK).exists()


def test_a_dropping_forward_policy_is_opened_for_pods_once_and_closed_again(
    machine: MachineRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions: list[str] = []
    monkeypatch.setattr(namespace_machine, "forward_policy_drops", lambda: True)
    monkeypatch.setattr(namespace_machine, "_exempt", actions.append)
    machine.open_the_way_out([])
    machine.open_the_way_out([])
    machine.restore()
    assert actions == ["-I", "-D"]
