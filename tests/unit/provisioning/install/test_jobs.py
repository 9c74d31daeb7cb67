"""One installer at a time on a pod, one pod at a time on a volume, and nobody waits for the dead."""

from __future__ import annotations

import errno
import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provisioning.errors import InstallError
from provisioning.install import job
from provisioning.install.follow import follow
from provisioning.install.lease import Lease, LeaseRecord, read
from provisioning.layout import Layout
from provisioning.progress import DONE, RUNNING, ProgressLog

HOLDER = """
import sys, time
from pathlib import Path
from provisioning.install import job
from provisioning.layout import Layout
with job.hold(Layout(Path(sys.argv[1])), "job", "run"):
    print("held", flush=True)
    time.sleep(60)
"""


def _holder(layout: Layout) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(layout.root)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate(timeout=60)


def test_a_running_job_is_known_and_a_dead_one_is_not(layout: Layout) -> None:
    assert job.running(layout) is None
    child = _holder(layout)
    assert job.running(layout) == job.InstallerRun("job", "run", child.pid)
    _end(child)
    assert job.running(layout) is None


def test_no_other_user_can_touch_the_lock(layout: Layout) -> None:
    """Whoever can open the file can lock it, and a held lock means "an installer runs, as this process"."""
    job.lock_path(layout).touch(0o644)
    job.hold(layout, "job", "run").close()
    assert stat.S_IMODE(job.lock_path(layout).stat().st_mode) == 0o600


def test_two_jobs_cannot_hold_the_lock(layout: Layout) -> None:
    child = _holder(layout)
    with pytest.raises(InstallError, match="another installer"):
        job.hold(layout, "other", "other", wait_seconds=0.1)
    _end(child)
    job.hold(layout, "other", "other").close()


def test_a_job_is_stopped_with_all_it_started(layout: Layout) -> None:
    child = _holder(layout)
    record = job.running(layout)
    assert record is not None
    job.stop(layout, record)
    assert child.wait(timeout=60) != 0
    assert child.stdout is not None
    child.stdout.close()


def test_a_reader_never_sees_half_a_line_and_goes_on_where_it_was(layout: Layout) -> None:
    path = job.progress_path(layout, "run")
    progress = ProgressLog(path, clock=lambda: 1.0)
    progress.emit("one", RUNNING, "ä")
    progress.emit("two", DONE)
    with path.open("a") as file:
        file.write('{"half')
    seen = list(follow(layout, "run", 0, sleep=lambda _: None))
    assert [json.loads(line.split(" ", 1)[1])["step"] for line in seen] == ["one", "two", "result"]
    offset = int(seen[0].split(" ", 1)[0])
    again = list(follow(layout, "run", offset, sleep=lambda _: None))
    assert json.loads(again[0].split(" ", 1)[1])["step"] == "two"
    progress.close()


def test_a_job_that_died_is_reported_as_lost(layout: Layout) -> None:
    last = list(follow(layout, "gone", 0, sleep=lambda _: None))[-1]
    assert json.loads(last.split(" ", 1)[1])["state"] == "lost"


def test_following_ends_with_the_result(layout: Layout) -> None:
    ProgressLog(job.progress_path(layout, "run")).finish(DONE, "fine", {"a": 1})
    lines = list(follow(layout, "run", 0, sleep=lambda _: None))
    assert json.loads(lines[0].split(" ", 1)[1])["result"] == {"a": 1}
    assert len(lines) == 1


def test_a_quiet_job_gives_signs_of_life(layout: Layout) -> None:
    child = _holder(layout)
    stream = follow(layout, "run", 0, sleep=lambda _: None)
    assert [next(stream) for _ in range(3)] == ["", "", ""]
    _end(child)


def _nobody(_: str) -> None:
    pytest.fail("there was nobody to wait for")


def test_a_free_lease_is_taken_and_given_back(tmp_path: Path) -> None:
    with Lease(tmp_path / "lease", "pod-a", waiting=_nobody):
        held = read(tmp_path / "lease")
        assert held is not None
        assert held.owner == "pod-a"
    assert not (tmp_path / "lease").exists()


def test_our_own_dead_predecessor_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "lease").write_text(json.dumps({"owner": "pod-a", "token": "old", "count": 7}))
    with Lease(tmp_path / "lease", "pod-a", waiting=_nobody):
        pass


def test_another_pod_is_waited_for_until_it_stops_beating(tmp_path: Path) -> None:
    (tmp_path / "lease").write_text(json.dumps({"owner": "pod-b", "token": "old", "count": 7}))
    waited: list[str] = []
    began = time.monotonic()
    with Lease(tmp_path / "lease", "pod-a", waiting=waited.append, stale=0.4):
        assert time.monotonic() - began >= 0.4
    assert set(waited) == {"pod-b"}


def test_a_damaged_lease_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "lease").write_text("{")
    assert read(tmp_path / "lease") is None
    (tmp_path / "lease").write_text(json.dumps({"owner": "b", "token": "t", "count": 1}))
    assert read(tmp_path / "lease") == LeaseRecord("b", "t", 1)


def test_a_lease_that_another_pod_took_is_not_written_again(tmp_path: Path) -> None:
    """After a stall of the volume the first owner must notice, and must not take the lease back."""
    path = tmp_path / "lease"
    with Lease(path, "pod-a", waiting=_nobody, stale=0.4) as lease:
        lease.check()
        path.write_text(json.dumps({"owner": "pod-b", "token": "theirs", "count": 3}))
        _until_lost(lease)
        with pytest.raises(InstallError, match="another pod is installing"):
            lease.check()
    assert read(path) == LeaseRecord("pod-b", "theirs", 3)


def test_a_lease_that_cannot_be_written_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lease(tmp_path / "lease", "pod-a", waiting=_nobody, stale=0.4) as lease:

        def refuse(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(lease, "_write", refuse)
        lease.check()
        _until_lost(lease)
        with pytest.raises(InstallError, match="did not answer"):
            lease.check()
        monkeypatch.undo()


def _until_lost(lease: Lease) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            lease.check()
        except InstallError:
            return
        time.sleep(0.02)
