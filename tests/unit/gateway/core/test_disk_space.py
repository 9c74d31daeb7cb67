"""Free space on a volume whose file system reports the whole cluster."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from provisioning.gateway.core import disk_space
from provisioning.gateway.core.disk_space import DiskSpace, measure, problem_of
from provisioning.gateway.core.problems import Code, Problem
from tests.unit.gateway.conftest import Gate, until, workflow
from tests.unit.gateway.fake import PNG, png

VOLUME = 10_000_000
RESERVE = 1_000_000


@pytest.fixture
def overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    cluster = os.statvfs_result((4096, 4096, 10**12, 10**12, 10**12, 10**9, 10**9, 10**9, 0, 255))
    monkeypatch.setattr("os.statvfs", lambda _: cluster)
    home = tmp_path / "volume" / "home"
    (home / "models").mkdir(parents=True)
    (home / "models" / "large.safetensors").write_bytes(bytes(3_000_000))
    return {"files": home / "files", "volume_bytes": VOLUME, "min_free_bytes": RESERVE}


async def test_free_space_is_the_volumes_size_without_its_files(gate: Gate) -> None:
    volume = gate.app.services.disk_space
    assert isinstance(volume, disk_space.VolumeSpace)
    await until(lambda: volume.others == 3_000_000)
    volume.check(VOLUME - RESERVE - 3_000_000)
    with pytest.raises(Problem) as caught:
        volume.check(VOLUME - RESERVE - 3_000_000 + 1)
    assert caught.value.code is Code.STORAGE_FULL
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    with pytest.raises(Problem):
        volume.check(VOLUME - RESERVE - 3_000_000)
    volume.check(VOLUME - RESERVE - 3_000_000 - len(PNG))


async def test_a_full_volume_refuses_files_and_jobs(gate: Gate, tmp_path: Path) -> None:
    volume = gate.app.services.disk_space
    assert isinstance(volume, disk_space.VolumeSpace)
    await until(lambda: volume.others == 3_000_000)
    volume.others = VOLUME - RESERVE + 1
    for answer in (
        await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)}),
        await gate.alice.post("/api/v2/assets", files={"file": ("a.png", PNG)}, data={"file_path": "a.png"}),
        await gate.alice.post("/api/v2/jobs", json={"workflow": workflow()}),
        await gate.alice.post("/prompt", json={"prompt": workflow()}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")


async def test_the_store_is_measured_at_the_start(gate: Gate) -> None:
    store, folder = gate.app.services.files, gate.settings.files
    assert store is not None
    assert folder is not None
    (folder / "input").mkdir()
    (folder / "input" / "a.png").write_bytes(png(9, 9))
    (folder / ".drafts").mkdir()
    for name, age in (("old", 7200), ("new", 0)):
        (folder / ".drafts" / name).write_bytes(b"12345")
        then = (folder / ".drafts" / name).stat().st_mtime - age
        os.utime(folder / ".drafts" / name, (then, then))
    await store.recount()
    assert store.count == len(png(9, 9)) + 5
    assert [path.name for path in (folder / ".drafts").iterdir()] == ["new"], "the abandoned draft was removed"


def test_only_files_beside_the_store_are_measured(tmp_path: Path) -> None:
    for name in ("files/output/a", "models/b", "models/staging/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1234")
    (tmp_path / "models" / "link").symlink_to(tmp_path / "files")
    assert measure(tmp_path, tmp_path / "files") == 8


def test_measuring_is_bounded(tmp_path: Path) -> None:
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        for number in range(4):
            (tmp_path / folder / str(number)).write_bytes(b"1")
    assert measure(tmp_path, tmp_path / "x", max_entries=3) == 4


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_storage_full(code: int) -> None:
    assert problem_of(OSError(code, "")).code is Code.STORAGE_FULL


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.EROFS])
def test_other_errors_are_store_unavailable(code: int) -> None:
    problem = problem_of(OSError(code, ""))
    assert (problem.code, problem.retry_after) == (Code.STORE_UNAVAILABLE, 2)
    assert os.strerror(code) in problem.detail


def test_an_unreadable_disk_is_store_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.statvfs", broken)
    with pytest.raises(Problem) as caught:
        DiskSpace(tmp_path, 1).check()
    assert caught.value.code is Code.STORE_UNAVAILABLE
