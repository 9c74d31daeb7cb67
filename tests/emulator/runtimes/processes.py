"""Finding and ending the processes of a pod that lives among the machine's own.

A pod's processes are known by a variable they all inherit; what daemonises keeps it. A process is ended only when
it still is the one that was found: pid and start time together, so a pid given to somebody else is left alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
GRACE_SECONDS = 3.0
"""Between asking a pod's processes to end and ending them."""
END_SECONDS = 30.0
"""For a busy machine to carry out what nobody can refuse."""
STEP_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """A process of this machine, told from a later one with the same pid."""

    pid: int
    started: str
    """When it started, in the machine's own words; only ever compared."""

    def is_alive(self) -> bool:
        """Say whether this very process still runs; one that only waits to be reaped does not."""
        return start_time(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        """Signal the process when it still is the one meant."""
        if self.is_alive():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def let_go(child: subprocess.Popen[bytes]) -> None:
    """Forget a child that is to outlive this process, so that nobody is warned that it was not waited for."""
    child.returncode = child.poll() or 0


def start_time(pid: int) -> str | None:
    """Return when a process started, None when it is gone or only waits to be reaped."""
    if not PROC.joinpath("self/stat").exists():
        return start_time_by_ps(pid)
    try:
        fields = PROC.joinpath(str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def start_time_by_ps(pid: int) -> str | None:
    """Return when a process started on a machine without /proc."""
    listed = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = listed.stdout.strip().partition(" ")
    return started.strip() or None if not state.startswith("Z") else None


def having(marker: str) -> list[Process]:
    """Return the processes whose environment holds `marker`, a whole NAME=value."""
    pids = pids_by_proc(marker) if PROC.joinpath("self/environ").exists() else pids_by_ps(marker)
    found = ((pid, start_time(pid)) for pid in pids if pid != os.getpid())
    return [Process(pid, started) for pid, started in found if started is not None]


def pids_by_proc(marker: str) -> Iterator[int]:
    """Yield the pids of processes with the marker; what may not be read is somebody else's."""
    wanted = b"\0" + marker.encode() + b"\0"
    for directory in PROC.iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                if wanted in b"\0" + directory.joinpath("environ").read_bytes() + b"\0":
                    yield int(directory.name)


def pids_by_ps(marker: str) -> Iterator[int]:
    """Yield the pids of this user's processes with the marker, on a machine without /proc."""
    listed = subprocess.run(["ps", "-axEwwo", "pid=,command="], capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        pid, _, words = line.strip().partition(" ")
        if marker in words.split():
            yield int(pid)


async def end(marker: str) -> None:
    """End every process with the marker, those it starts meanwhile included; RuntimeError when some stay."""
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, END_SECONDS)):
        deadline = asyncio.get_running_loop().time() + seconds
        signalled: set[Process] = set()
        while processes := await asyncio.to_thread(having, marker):
            for process in set(processes) - signalled:
                process.send(number)
            signalled.update(processes)
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(STEP_SECONDS)
        else:
            return
    raise RuntimeError(
        f"processes {[process.pid for process in processes]} of the pod could not be ended; end them by hand"
    )
