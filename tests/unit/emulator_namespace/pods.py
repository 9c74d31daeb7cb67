"""Real pods for tests, and what can be seen of them from outside."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.emulator.runtimes import ContainerSpec
from tests.emulator.runtimes import namespace_network as network
from tests.emulator.runtimes import namespace_record as records
from tests.emulator.runtimes import volume_servers as volume_servers_program
from tests.emulator.runtimes.namespace import NamespaceRuntime
from tests.emulator.runtimes.namespace_check import why_not
from tests.emulator.runtimes.namespace_machine import RECORD, MachineRecord

_REASON = why_not()

needs_namespaces = [pytest.mark.root, pytest.mark.skipif(_REASON is not None, reason=f"no namespace pods: {_REASON}")]


def spec(pod_id: str, script: str, volume: Path | None = None, env: Mapping[str, str] | None = None) -> ContainerSpec:
    """A pod whose start command is a bash script."""
    return ContainerSpec(
        pod_id=pod_id,
        args=["bash", "-c", script],
        env=dict(env or {}),
        volume=volume,
        mount_path="/workspace",
        ports=(22,),
        disk_gb=2,
    )


async def finish(runtime: NamespaceRuntime, pod_id: str, seconds: float = 120) -> int | None:
    """Wait until a pod's start command has ended and return its exit code."""
    deadline = time.monotonic() + seconds
    while (status := await runtime.status(pod_id)).running:
        assert time.monotonic() < deadline, runtime.log_path(pod_id).read_text(encoding="utf-8")
        await asyncio.sleep(0.02)
    return status.exit_code


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what others on this machine bring about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(0.05)


async def say(runtime: NamespaceRuntime, script: str, volume: Path | None = None) -> str:
    """Run a script as a pod of its own and return what it said."""
    await runtime.start(spec("says", script, volume))
    await finish(runtime, "says")
    said = runtime.log_path("says").read_text(encoding="utf-8")
    await runtime.remove("says")
    return said


async def wait_for_log(runtime: NamespaceRuntime, pod_id: str, words: str) -> None:
    """Wait until a pod has said something."""
    deadline = time.monotonic() + 120
    while words not in runtime.log_path(pod_id).read_text(encoding="utf-8"):
        assert time.monotonic() < deadline, runtime.log_path(pod_id).read_text(encoding="utf-8")
        await asyncio.sleep(0.02)


def traces(state: Path) -> list[str]:
    """Everything the machine still shows of one state folder's pods; those of others are not our business."""
    owner = network.owner_tag(state)
    found = [f"link {name}" for name in network.links(network.PREFIX + owner)]
    found += [f"table {name}" for name in network.tables() if name == network.table_name(owner)]
    found += [f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if str(state) in line]
    loops = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True).stdout
    found += [f"loop {line}" for line in loops.splitlines() if str(state) in line]
    found += [f"file {path}" for name in ("namespace", "volume-servers") for path in (state / name).rglob("*")]
    found += [f"server {pid}" for pid in volume_servers(state)]
    with nobody_elses_pods() as alone:
        if alone and RECORD.exists():
            found.append(f"record {RECORD}")
    return found


def volume_servers(state: Path) -> list[int]:
    """The processes that serve volumes of a state folder."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended while we looked
            text = line.read_text(encoding="utf-8", errors="replace")
            if volume_servers_program.PROGRAM in text and str(state) in text:
                found.append(int(line.parts[2]))
    return found


@contextmanager
def nobody_elses_pods() -> Iterator[bool]:
    """Say whether no emulator of this machine has pods just now, and keep it so: what is changed then was left."""
    with MachineRecord().lock():
        yield not network.links() and not network.tables()


def forwarding() -> dict[str, str]:
    """The machine's forwarding settings, interface by interface, but those of pods; none while others have pods.

    Interfaces may come and go meanwhile, other tests' among them: compare what is in both.
    """
    with nobody_elses_pods() as alone:
        return _forwarding() if alone else {}


def _forwarding() -> dict[str, str]:
    settings = Path("/proc/sys/net/ipv4/conf").glob("*/forwarding")
    return {path.parent.name: path.read_text() for path in settings if not path.parent.name.startswith(network.PREFIX)}


def child_that_starts(state: Path, pod: ContainerSpec) -> subprocess.Popen[bytes]:
    """Another process that starts a pod as the emulator does, says so on standard output and waits."""
    program = (
        "import asyncio, time; from pathlib import Path, PosixPath\n"
        "from tests.emulator.runtimes import ContainerSpec\n"
        "from tests.emulator.runtimes.volume_behaviour import Behaviour\n"
        "from tests.emulator.runtimes.namespace import NamespaceRuntime\n"
        f"asyncio.run(NamespaceRuntime(Path({str(state)!r})).start(ContainerSpec(**{vars(pod)!r})))\n"
        "print('up', flush=True); time.sleep(600)"
    )
    checkout = Path(__file__).resolve().parents[3]
    return subprocess.Popen([sys.executable, "-c", program], cwd=checkout, stdout=subprocess.PIPE)


@contextmanager
def pid_namespace(state: Path, pod_id: str) -> Iterator[int]:
    """The process namespace of a running pod; kept, for the kernel gives the number of one that is gone to the next."""
    record = records.read(state / "namespace" / pod_id)
    assert record is not None
    descriptor = os.open(f"/proc/{record.init.pid}/ns/pid", os.O_RDONLY)
    try:
        yield os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


def processes_in(namespace: int) -> list[str]:
    """The machine's numbers of the processes that run in a process namespace."""
    found = []
    for link in Path("/proc").glob("[0-9]*/ns/pid"):
        with suppress(OSError):  # it ended while we looked
            ended = "State:\tZ" in (link.parents[1] / "status").read_text(encoding="utf-8")
            if link.stat().st_ino == namespace and not ended:
                found.append(link.parts[2])
    return found


@contextmanager
def own_network() -> Iterator[int]:
    """A process that does nothing in a network namespace of its own; its number."""
    ours = Path("/proc/self/ns/net").readlink()
    with subprocess.Popen(["unshare", "--net", "sleep", "600"]) as process:
        try:
            deadline = time.monotonic() + 60
            while Path(f"/proc/{process.pid}/ns/net").readlink() == ours:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield process.pid
        finally:
            process.kill()


def seen_outside(*paths: str) -> list[str]:
    """Those of the paths that exist on the machine."""
    return [path for path in paths if Path(path).exists()]
