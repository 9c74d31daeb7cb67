"""One installer run on this pod: who it is, whether it lives, and how it is ended.

The lock lies on the container disk, where the kernel's file locks can be trusted; a network file system's cannot. It is
held by the job's own process alone, so that "locked" and "alive" are one and the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from provisioning.errors import InstallError
from provisioning.layout import Layout

STOP_SECONDS = 10.0
LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class JobRecord:
    """What the lock file says about the job that holds it."""

    job: str
    """Digest of bundle, plan and secrets: equal work has an equal name."""
    run: str
    """This one run of it; also the name of its directory."""
    pid: int


def lock_path(layout: Layout) -> Path:
    """Return the file whose lock a living job holds."""
    return layout.run / "job.lock"


def progress_path(layout: Layout, run: str) -> Path:
    """Return a run's progress file."""
    return layout.jobs / run / "progress.jsonl"


def hold(layout: Layout, job: str, run: str, wait_seconds: float = LOOK_SECONDS) -> IO[str]:
    """Take the lock for this process; keep the returned file open. Raises InstallError when another job has it."""
    layout.run.mkdir(parents=True, exist_ok=True)
    file = lock_path(layout).open("a+", encoding="utf-8")
    # Who can open it can lock it, and so pass for an installer that runs.
    os.fchmod(file.fileno(), 0o600)
    # A look at the lock holds it for an instant; only a job holds it for longer.
    deadline = time.monotonic() + wait_seconds
    while not _taken(file):
        if time.monotonic() > deadline:
            file.close()
            raise InstallError("another installer is running on this pod; run the command again to follow it")
        time.sleep(0.02)
    file.truncate(0)
    file.write(json.dumps(asdict(JobRecord(job, run, os.getpid()))))
    file.flush()
    return file


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def running(layout: Layout) -> JobRecord | None:
    """Return the job that runs now; None when none does."""
    try:
        with lock_path(layout).open("r", encoding="utf-8") as file:
            if _is_free(file):
                return None
            text = file.read()
    except FileNotFoundError:
        return None
    # Between the lock and the record lies an instant without a text; the caller simply looks again.
    return JobRecord(**json.loads(text)) if text else JobRecord("", "", 0)


def _is_free(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def stop(layout: Layout, record: JobRecord) -> None:
    """End a job and everything it started; raises InstallError when it does not go."""
    for sign, grace in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        _signal_group(record.pid, sign)
        if _wait_until_gone(layout, record, grace):
            # The job leads a session of its own: what it had started goes with it.
            _signal_group(record.pid, signal.SIGKILL)
            return
    raise InstallError(f"the installer that runs on the pod (process {record.pid}) cannot be ended; reset the pod")


def _signal_group(pid: int, sign: signal.Signals) -> None:
    if pid <= 1:
        return
    try:
        os.killpg(pid, sign)
    except ProcessLookupError:
        return


def _wait_until_gone(layout: Layout, record: JobRecord, grace: float) -> bool:
    deadline = time.monotonic() + grace
    while (now := running(layout)) is not None and now.run in {record.run, ""}:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
