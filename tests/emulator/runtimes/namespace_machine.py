"""What is changed on the machine itself, outside every pod: written down before it is done, and undone at the end.

The record is one for all emulators of this machine, in /run: like the settings it describes, it lasts until a reboot.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.emulator.runtimes.namespace_processes import boot_id

RECORD = Path("/run/comfyui-runpod-emulator/before.json")
_SYSCTLS = Path("/proc/sys")
_MACHINE_FORWARDS = "net/ipv4/ip_forward"

# Container engines set the FORWARD policy to DROP, which no accept in another table overrules.
_COMMENT = ("-m", "comment", "--comment", "comfyui-runpod-emulator")
_EXEMPTIONS = (
    ("-i", "crp+", *_COMMENT, "-j", "ACCEPT"),
    ("-o", "crp+", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", *_COMMENT, "-j", "ACCEPT"),
)


@dataclass
class _Before:
    boot: str
    machine_forwards: str
    sysctls: dict[str, str] = field(default_factory=dict)
    exempted: bool = False


class MachineRecord:
    """The machine's settings as they were; change and restore only while holding `lock`."""

    def __init__(self, path: Path = RECORD, sysctls: Path = _SYSCTLS) -> None:
        self._path = path
        self._sysctls = sysctls

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other emulators of this machine from changing it meanwhile; waits for them."""
        # The directory that holds the record's own is there before and after us: a lock on it leaves nothing behind.
        descriptor = os.open(self._path.parent.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def open_the_way_out(self, uplinks: Iterable[str]) -> None:
        """Let answers that come in at these interfaces be forwarded to pods."""
        before = self._read() or _Before(boot_id(), machine_forwards=self._get(_MACHINE_FORWARDS))
        changes = [key for key in map(_forwarding_of, uplinks) if key not in before.sysctls and self._get(key) != "1"]
        before.sysctls.update({key: self._get(key) for key in changes})
        exempt = not before.exempted and forward_policy_drops()
        before.exempted = before.exempted or exempt
        self._write(before)
        for key in changes:
            self._set(key, "1")
        if exempt:
            _exempt("-I")

    def guarded(self) -> list[str]:
        """Return the interfaces that forwarded nothing before us."""
        before = self._read()
        return [] if before is None else sorted(Path(key).parent.name for key in before.sysctls)

    def restore(self) -> None:
        """Put everything back and delete the record; fine when there is none."""
        before = self._read()
        if before is None:
            return
        # Forwarding switched on for the whole machine meanwhile is somebody's wish: it now includes our interfaces.
        if self._get(_MACHINE_FORWARDS) == before.machine_forwards:
            self._put_back(before.sysctls)
        if before.exempted:
            _exempt("-D")
        self._path.unlink()
        self._path.parent.rmdir()

    def _put_back(self, sysctls: dict[str, str]) -> None:
        for key, value in sysctls.items():
            if (self._sysctls / key).exists():  # the interface may be gone
                self._set(key, value)

    def _get(self, key: str) -> str:
        return (self._sysctls / key).read_text(encoding="ascii").strip()

    def _set(self, key: str, value: str) -> None:
        (self._sysctls / key).write_text(value, encoding="ascii")

    def _read(self) -> _Before | None:
        if not self._path.exists():
            return None
        before = _Before(**json.loads(self._path.read_text(encoding="utf-8")))
        # /run is not always in memory: a reboot has undone everything that an older record speaks of.
        return before if before.boot == boot_id() else None

    def _write(self, before: _Before) -> None:
        self._path.parent.mkdir(mode=0o755, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(asdict(before), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)


def forward_policy_drops() -> bool:
    """Say whether the machine's own iptables drop what is forwarded unless a rule accepts it."""
    if shutil.which("iptables") is None:
        return False
    done = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True, check=False)
    return "-P FORWARD DROP" in done.stdout.splitlines()


def _exempt(action: str) -> None:
    for rule in _EXEMPTIONS:
        # A rule that somebody deleted meanwhile is as good as deleted by us.
        subprocess.run(["iptables", action, "FORWARD", *rule], check=action == "-I", capture_output=True)


def _forwarding_of(interface: str) -> str:
    return f"net/ipv4/conf/{interface}/forwarding"
