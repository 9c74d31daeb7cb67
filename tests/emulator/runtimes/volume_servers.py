"""The server processes of network volumes: started when a pod mounts one, found again by their records."""

from __future__ import annotations

import ctypes.util
import importlib.util
import json
import os
import select
import shutil
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.emulator.runtimes import RuntimeFailureError
from tests.emulator.runtimes import namespace_kernel as kernel
from tests.emulator.runtimes import namespace_processes as processes
from tests.emulator.runtimes.namespace_processes import PROC, ProcessId
from tests.emulator.runtimes.volume_behaviour import Behaviour, Home, Orders

PROGRAM = "tests.emulator.runtimes.volume_server"
"""The program that serves a volume; its last two arguments are the volume's directory and the server's home."""

_CHECKOUT = Path(__file__).resolve().parents[3]
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FUSE_DEVICE = Path("/dev/fuse")
_MOUNTS_SECONDS = 60.0
"""Mounting takes a fraction of a second, counting the files of a large volume a little more."""
_ENDS_SECONDS = 30.0
_LAST_WORDS = 500


@dataclass(frozen=True)
class Served:
    """A server of a volume and how it has mounted it."""

    process: ProcessId
    modes: str
    locks: str

    def suits(self, behaviour: Behaviour) -> bool:
        """Say whether the mount is as the behaviour wants it."""
        return (self.modes, self.locks) == (behaviour.modes, behaviour.locks)


@dataclass(frozen=True)
class Mount:
    """Where a pod fetches a volume."""

    server: int
    """The process in whose mount namespace it is."""
    path: str


class VolumeServers:
    """Serves volumes, each by one process however many pods mount it; safe to call from several threads."""

    def __init__(self, state: Path, fuse_device: Path = FUSE_DEVICE) -> None:
        self.plain = why_not(fuse_device) or ""
        self._homes = state / "volume-servers"
        self._claims: dict[str, str] = {}
        """Which volume a pod has, running or stopped."""
        self._lock = threading.RLock()

    def claim(self, pod_id: str, volume: Path, behaviour: Behaviour) -> Mount:
        """Serve a volume for a pod, on and on until `release`; raises RuntimeFailureError."""
        with self._lock:
            if not volume.is_dir():
                raise RuntimeFailureError(f"the volume's directory {volume} is missing")
            home = self._home(volume.name)
            home.files.mkdir(parents=True, exist_ok=True)
            home.behaviour().write(behaviour)
            self._claims[pod_id] = volume.name
            served = read_served(home)
            if served is None or not (served.suits(behaviour) or is_in_use(served, home)):
                _end(home)
                served = _start(volume, home, behaviour)
            return Mount(served.process.pid, str(home.files))

    def claimed(self, pod_id: str) -> str:
        """Return the name of the volume that a pod has, empty for none."""
        return self._claims.get(pod_id, "")

    def release(self, pod_id: str) -> None:
        """The pod is gone: end the server of a volume that no other has."""
        with self._lock:
            self._claims.pop(pod_id, None)
            self._sweep()

    def adopt(self, claims: dict[str, str]) -> None:
        """Take up the servers of these pods' volumes and end all others, also those whose state folder is gone."""
        with self._lock:
            self._claims = dict(claims)
            self._sweep()
            for orphan in orphans():
                _kill(orphan)

    def behave(self, volume_id: str, behaviour: Behaviour) -> bool:
        """Have a volume behave so from now on; False where no server runs."""
        with self._lock:
            if served := self.is_served(volume_id):
                self._home(volume_id).behaviour().write(behaviour)
            return served

    def order(self, volume_id: str, orders: Orders) -> bool:
        """Have a volume do something at once; False where no server runs."""
        with self._lock:
            if served := self.is_served(volume_id):
                before = self._home(volume_id).orders().read().serial
                self._home(volume_id).orders().write(replace(orders, serial=before + 1))
            return served

    def end(self, volume_id: str) -> None:
        """A volume is deleted: end its server, which takes it from the pods that have it."""
        with self._lock:
            self._claims = {pod: volume for pod, volume in self._claims.items() if volume != volume_id}
            self._sweep()

    def is_served(self, volume_id: str) -> bool:
        """Say whether a server of the volume runs."""
        return read_served(self._home(volume_id)) is not None

    def _home(self, volume_id: str) -> Home:
        return Home(self._homes / volume_id)

    def _sweep(self) -> None:
        wanted = set(self._claims.values())
        for directory in sorted(self._homes.iterdir()) if self._homes.exists() else ():
            if directory.name not in wanted:
                _end(Home(directory))
                shutil.rmtree(directory)
        with suppress(OSError):  # it is not there, or holds others
            self._homes.rmdir()


def why_not(fuse_device: Path = FUSE_DEVICE) -> str | None:
    """Return why volumes cannot be served here, None when they can."""
    if importlib.util.find_spec("mfusepy") is None:
        return "the package mfusepy is not installed; run `make setup`"
    if ctypes.util.find_library("fuse3") is None:
        return "libfuse3 is missing; install the package libfuse3-3 (Debian)"
    try:
        os.close(os.open(fuse_device, os.O_RDWR))
    except OSError as error:
        return f"{fuse_device} cannot be opened: {error.strerror}"
    return None if kernel.has_mount_trees() else "Linux 5.2 or later is needed"


def read_served(home: Home) -> Served | None:
    """Return the server of a volume that runs, None where none does."""
    try:
        raw = json.loads(home.record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    served = Served(**{**raw, "process": ProcessId(**raw["process"])})
    return served if processes.is_running(served.process) else None


def is_in_use(served: Served, home: Home) -> bool:
    """Say whether a pod has the volume mounted now."""
    mounts = (PROC / str(served.process.pid) / "mountinfo").read_text(encoding="utf-8")
    device = next((line.split()[2] for line in mounts.splitlines() if line.split()[4] == str(home.files)), None)
    return device is not None and any(
        f" {device} " in _mounts_of(process)
        for process in PROC.glob("[0-9]*")
        if process.name != str(served.process.pid)
    )


def orphans() -> list[ProcessId]:
    """Return the servers of this machine whose home was deleted, with the state folder it was in."""
    found = []
    for process in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it ended while we looked, or is none of ours to look at
            arguments = process.joinpath("cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
            ours = arguments[-4:-2] == ["-m", PROGRAM] and process.joinpath("cmdline").stat().st_uid == os.geteuid()
            # Looked for as the server itself sees it, which may have other mounts than we.
            if ours and not (process / "root" / arguments[-1].lstrip("/")).exists():
                found.append(ProcessId.of(int(process.name)))
    return found


def _mounts_of(process: Path) -> str:
    try:
        return process.joinpath("mountinfo").read_text(encoding="utf-8")
    except OSError:  # it has ended
        return ""


def _start(volume: Path, home: Home, behaviour: Behaviour) -> Served:
    answers, answer_end = os.pipe()
    try:
        with home.log.open("ab") as log:
            pid = _spawn(volume, home, answer_end, log.fileno())
        os.close(answer_end)
        if not _heard_mounted(answers):
            os.kill(pid, signal.SIGKILL)  # our own child, not waited for yet: the number is still its own
            os.waitpid(pid, 0)
            said = home.log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:].strip()
            raise RuntimeFailureError(f"the volume {volume} could not be mounted: {said or 'no answer'}")
    finally:
        os.close(answers)
    served = Served(ProcessId.of(pid), behaviour.modes, behaviour.locks)
    draft = home.record.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(served)), encoding="utf-8")
    draft.replace(home.record)
    return served


def _spawn(volume: Path, home: Home, answer_end: int, log: int) -> int:
    command = [sys.executable, "-m", PROGRAM, str(volume), str(home.directory)]
    # Without the second the library of FUSE 2 would be taken where there is one.
    environment = {"PATH": _PATH, "FUSE_LIBRARY_NAME": "fuse3", "PYTHONPATH": str(_CHECKOUT)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    duplicated = [(os.POSIX_SPAWN_DUP2, *pair) for pair in ((answer_end, 1), (log, 2))]
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), *duplicated]
    return os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsid=True)


def _heard_mounted(answers: int) -> bool:
    poll = select.poll()
    poll.register(answers, select.POLLIN)
    return bool(poll.poll(_MOUNTS_SECONDS * 1000)) and os.read(answers, 1) != b""


def _end(home: Home) -> None:
    served = read_served(home)
    if served is not None:
        _kill(served.process)
    home.record.unlink(missing_ok=True)


def _kill(process: ProcessId) -> None:
    processes.send(process, signal.SIGKILL)
    processes.wait_gone(process, _ENDS_SECONDS)
