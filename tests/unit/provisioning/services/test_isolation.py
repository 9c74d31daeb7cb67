"""What keeps ComfyUI out of the volume: decided by what the host can do, and tried from inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from provisioning.errors import InstallError
from provisioning.host import processes, users
from provisioning.layout import Layout
from provisioning.services import confine, isolation
from provisioning.services.isolation import Isolation, decide

PROGRAM = Path(confine.__file__)
INTRUDER = """
import json, os, sys
home, local, run, outside = sys.argv[1:]
done = {}
def tried(name, action):
    try:
        action()
        done[name] = True
    except OSError:
        done[name] = False
def put(path):
    with open(path, "w") as file:
        file.write("planted")
tried("reads a model", lambda: open(home + "/models/store/aa").read())
tried("follows a link to it", lambda: open(local + "/base/models/vae/a").read())
tried("writes an output", lambda: put(local + "/base/output/x"))
tried("moves it", lambda: os.replace(local + "/base/output/x", local + "/base/temp/x"))
tried("writes elsewhere", lambda: put(outside + "/free"))
tried("reads the log", lambda: open(home + "/gateway-log/1").read())
tried("lists the log", lambda: os.listdir(home + "/gateway-log"))
tried("lists the volume", lambda: os.listdir(home))
tried("reads a key", lambda: open(run + "/gateway.json").read())
tried("reads the database", lambda: open(local + "/gateway/gateway.db").read())
tried("empties a model", lambda: os.truncate(home + "/models/store/aa", 0))
tried("opens it emptied", lambda: os.close(os.open(home + "/models/store/aa", os.O_RDONLY | os.O_TRUNC)))
tried("opens it strangely", lambda: os.close(os.open(home + "/models/store/aa", os.O_ACCMODE | os.O_TRUNC)))
tried("rewrites an output", lambda: put(local + "/base/output/y") or put(local + "/base/output/y"))
tried("deletes a model", lambda: os.unlink(home + "/models/store/aa"))
tried("plants an archive", lambda: put(home + "/archives/bundle-x.tar"))
tried("plants a start", lambda: put(local + "/boot/start"))
tried("plants a node", lambda: os.mkdir(local + "/base/custom_nodes/evil"))
tried("moves the log", lambda: os.rename(home + "/gateway-log", local + "/base/output/log"))
tried("links the log", lambda: os.link(home + "/gateway-log/1", local + "/base/output/log"))
print(json.dumps(done))
"""
MAY = {
    "reads a model", "follows a link to it", "writes an output", "rewrites an output", "moves it", "writes elsewhere",
}  # fmt: skip


@pytest.fixture
def filled(layout: Layout) -> Layout:
    """A pod whose files anybody may read and write."""
    for name in ("input", "output", "temp", "user", "custom_nodes", "models/vae"):
        (layout.base / name).mkdir(parents=True)
    for path in (
        layout.model_store / "aa", layout.gateway_log / "1", layout.gateway_data / "gateway.db", layout.gateway_config,
        layout.archives / "a.tar", layout.start, layout.sources / "c" / "main.py", layout.venvs / "c" / "x",
        layout.prepared,
    ):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    (layout.base / "models/vae/a").symlink_to(layout.model_store / "aa")
    for path in layout.root.rglob("*"):
        path.chmod(0o777)
    return layout


def intrude(layout: Layout, how: Isolation, outside: Path, *more: str) -> Any:  # noqa: ANN401
    outside.mkdir()
    command = isolation.launch(layout, how, Path(sys.executable), PROGRAM, layout.sources / "c")
    command[3:3] = more
    places = (layout.home, layout.local, layout.run, outside)
    inner = [sys.executable, "-c", INTRUDER, *map(str, places)]
    done = subprocess.run([*command, *inner], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.skipif(not confine.is_available(), reason="this kernel has no Landlock")
def test_confined_it_reaches_models_and_its_own_folders_alone(filled: Layout, tmp_path: Path) -> None:
    seen = intrude(filled, Isolation.LANDLOCK, tmp_path / "outside")
    assert {name for name, could in seen.items() if could} == MAY


def test_unconfined_it_reaches_all_of_that(filled: Layout, tmp_path: Path) -> None:
    """What the tests above check is the sandbox, not file modes."""
    seen = intrude(filled, Isolation.NONE, tmp_path / "outside")
    assert len([name for name, could in seen.items() if could]) > len(MAY) + 8


@pytest.mark.skipif(not confine.is_available(), reason="this kernel has no Landlock")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter is for x86-64")
@pytest.mark.parametrize("version", [1, 2])
def test_older_versions_do_not_rule_truncation_and_are_completed(filled: Layout, tmp_path: Path, version: int) -> None:
    before = (filled.model_store / "aa").read_text()
    seen = intrude(filled, Isolation.LANDLOCK, tmp_path / "outside", "--version", str(version))
    # Before version 2 nothing moves from one folder to another; who tries is told to copy.
    assert {name for name, could in seen.items() if could} == MAY - ({"moves it"} if version == 1 else set())
    assert (filled.model_store / "aa").read_text() == before


@pytest.mark.skipif(not confine.is_available(), reason="this kernel has no Landlock")
def test_a_link_into_what_is_hidden_opens_nothing(filled: Layout, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(filled.home)
    seen = intrude(filled, Isolation.LANDLOCK, tmp_path / "outside")
    assert not seen["lists the volume"]


@pytest.fixture
def owns_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "owns_machine", lambda _layout: True)


@pytest.fixture
def without_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "abi", lambda: 0)


def test_landlock_is_taken_where_it_is(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "abi", lambda: 3)
    assert decide("auto", layout, 1 << 60) is Isolation.LANDLOCK
    assert decide("none", layout, 1 << 60) is Isolation.LANDLOCK


@pytest.mark.usefixtures("owns_machine", "without_landlock")
def test_without_it_the_folder_is_closed_where_the_models_fit(layout: Layout) -> None:
    assert decide("auto", layout, 1) is Isolation.FOLDER
    assert decide("none", layout, 1) is Isolation.FOLDER


@pytest.mark.usefixtures("owns_machine", "without_landlock")
def test_where_nothing_isolates_a_real_pod_stops_unless_that_is_accepted(layout: Layout) -> None:
    with pytest.raises(InstallError, match="isolation: none"):
        decide("auto", layout, 1 << 60)
    assert decide("none", layout, 1 << 60) is Isolation.NONE


@pytest.mark.usefixtures("without_landlock")
def test_where_all_is_one_user_it_goes_on(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "owns_machine", lambda _layout: False)
    assert decide("auto", layout, 1 << 60) is Isolation.NONE


def test_folder_can_be_asked_for(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "owns_machine", lambda _layout: True)
    assert decide("folder", layout, 1) is Isolation.FOLDER


def test_before_anything_was_decided_the_volume_is_closed(layout: Layout) -> None:
    assert isolation.current(layout) is Isolation.FOLDER


@pytest.mark.parametrize(("how", "mode"), [(Isolation.LANDLOCK, 0o711), (Isolation.FOLDER, 0o710)])
def test_the_volumes_parent_has_the_mode_of_the_isolation(layout: Layout, how: Isolation, mode: int) -> None:
    isolation.apply(layout, how)
    assert layout.volume_parent.stat().st_mode & 0o777 == mode
    assert isolation.current(layout) is how


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_models_of_a_closed_volume_are_counted_until_they_are_copied(layout: Layout) -> None:
    layout.model_store.mkdir(parents=True)
    (layout.model_store / "aa").write_bytes(b"x" * 1000)
    assert isolation.missing_bytes(layout, ["aa", "aa"]) == 1000
    layout.model_copies.mkdir(parents=True)
    (layout.model_copies / "aa").write_bytes(b"x" * 1000)
    assert isolation.missing_bytes(layout, ["aa"]) == 0


@pytest.mark.root
@pytest.mark.usefixtures("owns_machine")
@pytest.mark.parametrize(("before", "ends"), [(None, False), ("landlock", False), ("folder", True), ("none", True)])
def test_what_runs_under_another_isolation_ends_before_the_volume_is_opened(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, before: str | None, ends: bool
) -> None:
    """A process that left ComfyUI's process group was not stopped with it, and is confined by nothing."""
    ended: list[int] = []
    monkeypatch.setattr(processes, "end_all", lambda _user: ended.append(modes()))

    def modes() -> int:
        return layout.volume_parent.stat().st_mode & 0o777

    isolation.close_volume(layout, Isolation.FOLDER)
    if before is not None:
        layout.isolation.parent.mkdir(parents=True, exist_ok=True)
        layout.isolation.write_text(before)
    isolation.apply(layout, Isolation.LANDLOCK)
    assert ended == ([0o710] if ends else [])
    assert modes() == 0o711


@pytest.mark.root
def test_every_process_of_a_user_is_ended_and_no_other() -> None:
    user = users.ServiceUser("somebody", 54_321)
    escaped = "for n in 1 2 3; do setsid sleep 600 & done; exec sleep 600"
    theirs = subprocess.Popen(["sh", "-c", escaped], user=user.uid, group=user.uid, extra_groups=[], cwd="/")
    ours = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        while len(processes.running(user)) < 4:
            assert theirs.poll() is None
            time.sleep(0.02)
        processes.end_all(user)
        assert processes.running(user) == []
        assert theirs.wait() == -9
        assert ours.poll() is None
    finally:
        ours.kill()
        ours.wait()
    processes.end_all(user)
