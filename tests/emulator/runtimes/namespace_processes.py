"""Processes recorded on disk with their start time, so that a reused process id is not taken for ours."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
GRACE_SECONDS = 10.0
"""Between the request to end and the kill, as container engines do."""
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessId:
    """A process of one boot of this machine: start time and boot make the number unique."""

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Identify a running process; raises ProcessLookupError when there is none."""
        fields = _stat_fields(pid)
        if fields is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid=pid, start_ticks=int(fields[19]), boot=boot_id())


def boot_id() -> str:
    """Return what the kernel calls this boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def is_running(process: ProcessId) -> bool:
    """Say whether this very process still runs; one that has ended and waits for its parent does not."""
    fields = _stat_fields(process.pid)
    if fields is None or int(fields[19]) != process.start_ticks or process.boot != boot_id():
        return False
    if fields[0] in "ZX":
        _reap(process.pid)
        return False
    return True


def started_at(process: ProcessId) -> float:
    """Return the Unix time at which the process was started."""
    since_boot = process.start_ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot


def end(process: ProcessId, grace_seconds: float = GRACE_SECONDS) -> None:
    """Ask the process to end where it listens to that, then kill it, and wait until it is gone.

    The first process of a pid namespace is not told of a signal it has no handler for; waiting would be for nothing.
    """
    if _catches(process, signal.SIGTERM):
        send(process, signal.SIGTERM)
        if wait_gone(process, grace_seconds):
            return
    send(process, signal.SIGKILL)
    wait_gone(process, grace_seconds)


def send(process: ProcessId, number: signal.Signals) -> None:
    """Send a signal to this very process; fine when it is gone, or the number has been given to another."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # The descriptor is bound to one process: what is_running says of it stays true until the signal is sent.
        if is_running(process):
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def wait_gone(process: ProcessId, seconds: float) -> bool:
    """Wait until the process has ended; False when it has not after `seconds`."""
    deadline = time.monotonic() + seconds
    while is_running(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def children(parent: ProcessId) -> list[ProcessId]:
    """Return the processes that this very process has started and that still are its children."""
    found = []
    for path in PROC.glob("[0-9]*"):
        fields = _stat_fields(int(path.name))
        if fields is not None and int(fields[1]) == parent.pid:
            with suppress(ProcessLookupError):
                found.append(ProcessId.of(int(path.name)))
    return found if is_running(parent) else []


def _catches(process: ProcessId, number: signal.Signals) -> bool:
    try:
        status = (PROC / str(process.pid) / "status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def _stat_fields(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the state on: the name before may hold spaces and brackets."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # somebody else's child: its parent, or the machine's first process, waits for it
