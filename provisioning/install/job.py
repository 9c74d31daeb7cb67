"""The installer run on this pod: its lock, its record, and stopping it.

The lock is on the container disk, because file locks on a network file system are unreliable. Only the installer's own
process holds it, so that it is locked exactly while the installer runs.
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
class InstallerRun:
    """The record in the lock file about the run that holds it."""

    job: str
    """Digest of bundle, plan and secrets: equal jobs have equal names."""
    run: str
    """Id of this run, which is also the name of its directory."""
    pid: int


def lock_path(layout: Layout) -> Path:
    """Return the file that a running installer locks."""
    return layout.run / "job.lock"


def progress_path(layout: Layout, run: str) -> Path:
    """Return a run's progress file."""
    return layout.jobs / run / "progress.jsonl"


def hold(layout: Layout, job: str, run: str, wait_seconds: float = LOOK_SECONDS) -> IO[str]:
    """Lock for this process; the returned file must stay open. Raises InstallError when another run holds the lock."""
    layout.run.mkdir(parents=True, exist_ok=True)
    file = lock_path(layout).open("a+", encoding="utf-8")
    # Other users must not be able to lock it and so pretend to be a running installer.
    os.fchmod(file.fileno(), 0o600)
    # A check of the lock holds it for an instant; only an installer holds it for longer.
    deadline = time.monotonic() + wait_seconds
    while not _taken(file):
        if time.monotonic() > deadline:
            file.close()
            raise InstallError("another installer is running on this pod; run the command again to follow it")
        time.sleep(0.02)
    file.truncate(0)
    file.write(json.dumps(asdict(InstallerRun(job, run, os.getpid()))))
    file.flush()
    return file


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def running(layout: Layout) -> InstallerRun | None:
    """Return the current run; None when there is none."""
    try:
        with lock_path(layout).open("r", encoding="utf-8") as file:
            if _is_free(file):
                return None
            text = file.read()
    except FileNotFoundError:
        return None
    # The file is empty for an instant between the lock and the record; the caller checks again.
    return InstallerRun(**json.loads(text)) if text else InstallerRun("", "", 0)


def _is_free(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def stop(layout: Layout, record: InstallerRun) -> None:
    """Stop a run and its child processes; raises InstallError when it does not end."""
    for sign, grace in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        _signal_group(record.pid, sign)
        if _wait_until_gone(layout, record, grace):
            # The run leads its own session, which includes its child processes.
            _signal_group(record.pid, signal.SIGKILL)
            return
    raise InstallError(f"the running installer on the pod (process {record.pid}) cannot be stopped; reset the pod")


def _signal_group(pid: int, sign: signal.Signals) -> None:
    if pid <= 1:
        return
    try:
        os.killpg(pid, sign)
    except ProcessLookupError:
        return


def _wait_until_gone(layout: Layout, record: InstallerRun, grace: float) -> bool:
    deadline = time.monotonic() + grace
    while (now := running(layout)) is not None and now.run in {record.run, ""}:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
