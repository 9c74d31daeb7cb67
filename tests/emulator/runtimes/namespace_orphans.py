"""Pods whose emulator cannot come back, because its state folder was deleted."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.emulator.runtimes import namespace_network as network
from tests.emulator.runtimes import namespace_processes as processes
from tests.emulator.runtimes.namespace_processes import PROC, ProcessId

KEEPER = "tests.emulator.runtimes.namespace_init"
"""The program that keeps a pod; its last argument is the pod's directory."""

_ENDS_SECONDS = 30.0


@dataclass(frozen=True)
class Orphan:
    """A keeper on this machine whose pod's directory is gone."""

    keeper: ProcessId
    home: Path

    def end(self) -> None:
        """End the pod and take its interface away."""
        for child in processes.children(self.keeper):
            processes.end(child)
        processes.send(self.keeper, signal.SIGKILL)
        processes.wait_gone(self.keeper, _ENDS_SECONDS)
        network.disconnect(network.link_name(network.owner_tag(self.home.parents[1]), self.home.name))


def orphans() -> list[Orphan]:
    """Return all orphans that this process can be sure of."""
    found = []
    for process in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it ended while we looked, or is none of ours to look at
            home = _pod_directory(process)
            if home is not None and not home.exists():
                found.append(Orphan(ProcessId.of(int(process.name)), home))
    return found


def _pod_directory(process: Path) -> Path | None:
    arguments = process.joinpath("cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    if arguments[-3:-1] != ["-m", KEEPER] or process.joinpath("cmdline").stat().st_uid != os.geteuid():
        return None
    # With other mounts than ours it may see a directory that we do not.
    same = process.joinpath("ns/mnt").readlink() == (PROC / "self/ns/mnt").readlink()
    return Path(arguments[-1]) if same else None
