"""The `namespace` runtime: a pod is a set of Linux namespaces over an overlay of the machine's own root.

It needs root on Linux; `namespace_check.why_not` says whether a machine can. A pod's first process is its start
command. Everything a pod is, is mounted and run inside its own namespaces; outside there is one network interface, one
table of packet-filter rules per emulator, and what `namespace_machine` records.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path

from tests.emulator.runtimes import ContainerSpec, ContainerStatus, RuntimeFailureError, Volumes
from tests.emulator.runtimes import namespace_disk as disk
from tests.emulator.runtimes import namespace_kernel as kernel
from tests.emulator.runtimes import namespace_processes as processes
from tests.emulator.runtimes import namespace_record as records
from tests.emulator.runtimes.namespace_init import Order
from tests.emulator.runtimes.namespace_keeper import CHECKOUT, Keeper
from tests.emulator.runtimes.namespace_machine import MachineRecord
from tests.emulator.runtimes.namespace_mounts import Places
from tests.emulator.runtimes.namespace_network import machine_resolver, pod_side
from tests.emulator.runtimes.namespace_orphans import orphans
from tests.emulator.runtimes.namespace_wiring import Wiring
from tests.emulator.runtimes.volume_servers import FUSE_DEVICE, VolumeServers

_IDLE = ("sleep", "infinity")
_BACKLOG = 128
KEEPER_SECONDS = 30.0
"""How long the keeper of a container may take to write its last lines and exit code."""


class NamespaceRuntime:
    """Runs pods below `state`/namespace; see the Runtime protocol for what each method promises."""

    name = "namespace"
    limits: tuple[str, ...] = (
        "the pod's image is this machine's own root file system, not the image that was asked for",
        "no GPU, and no limit on memory or CPU",
        "root in a pod has the capabilities of a container but is root of this machine: run only what you trust",
        "no system-call filter, no IPv6",
    )

    def __init__(
        self,
        state: Path,
        machine: MachineRecord | None = None,
        *,
        grace_seconds: float = processes.GRACE_SECONDS,
        keeper_seconds: float = KEEPER_SECONDS,
        fuse_device: Path = FUSE_DEVICE,
    ) -> None:
        self._grace_seconds = grace_seconds
        self._keeper_seconds = keeper_seconds
        self._state = state.resolve()
        self._homes = self._state / "namespace"
        self._homes.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._wiring = Wiring(self._state, machine or MachineRecord())
        self._servers = VolumeServers(self._state, fuse_device)
        self.volumes: Volumes = self._servers

    async def start(self, spec: ContainerSpec) -> None:
        """Start the container on a fresh container disk; raises RuntimeFailureError.

        Cancelled, it goes on to the end first: the container may run then, and `stop` ends it.
        """
        await _to_the_end(self._start, spec)

    async def stop(self, pod_id: str) -> None:
        """End every process of the pod and discard its container disk; the volume is kept."""
        await _to_the_end(self._stop, pod_id)

    async def remove(self, pod_id: str) -> None:
        """Leave nothing of the pod, its log included; fine when there is nothing."""
        await _to_the_end(self._remove, pod_id)

    async def status(self, pod_id: str) -> ContainerStatus:
        """Say whether the container runs and how it ended."""
        record = records.read(self._home(pod_id))
        if record is None:
            return ContainerStatus(running=False, exit_code=None, started_at=None)
        # The keeper ends as soon as it has written the exit code: until then there is none to tell.
        running = processes.is_running(record.init) or processes.is_running(record.keeper)
        exit_code = None if running else records.exit_code(self._home(pod_id))
        return ContainerStatus(running=running, exit_code=exit_code, started_at=record.started_at)

    async def adopt(self, specs: Mapping[str, ContainerSpec]) -> None:
        """Take up the pods in `specs` that still run; clean away what is not in it, also after a kill."""
        await _to_the_end(self._adopt, frozenset(specs))

    def address(self, pod_id: str, private_port: int) -> tuple[str, int]:
        """Return where the emulator connects to reach a port; raises KeyError for a pod that was not started."""
        return self._wiring.address(pod_id), private_port

    def log_path(self, pod_id: str) -> Path:
        """Return the file that holds the container's stdout and stderr."""
        return self._home(pod_id) / "log"

    async def inner_listener(self, pod_id: str, port: int) -> socket.socket | None:
        """Return a socket that listens on 127.0.0.1:port inside the pod; close it before the pod is stopped."""
        record = records.read(self._home(pod_id))
        if record is None or not processes.is_running(record.init):
            raise RuntimeFailureError(f"pod {pod_id} does not run: nothing can listen inside it; start it first")
        try:
            return await asyncio.to_thread(_listen_inside, record.init.pid, port)
        except OSError as error:
            raise RuntimeFailureError(f"nothing can listen on 127.0.0.1:{port} inside pod {pod_id}: {error}") from error

    async def close(self) -> None:
        """Let go of everything: the pods go on and are taken up by the next `adopt`."""
        self._wiring.forget()

    def _home(self, pod_id: str) -> Path:
        return self._homes / pod_id

    def _start(self, spec: ContainerSpec) -> None:
        self._stop(spec.pod_id)
        home = self._home(spec.pod_id)
        home.mkdir(exist_ok=True)
        try:
            self._launch(spec, home)
        except (OSError, RuntimeFailureError) as error:
            self._stop(spec.pod_id)
            raise RuntimeFailureError(f"pod {spec.pod_id} could not be started: {error}") from error

    def _launch(self, spec: ContainerSpec, home: Path) -> None:
        with self._wiring.reserve(spec.pod_id) as subnet, Keeper(self._order(spec, home, subnet)) as keeper:
            init = keeper.prepare()
            link = self._wiring.connect(spec.pod_id, init.pid)
            served = self._servers.claimed(spec.pod_id)
            record = records.Record(init, keeper.identify(), link, str(subnet), time.time(), served)
            records.write(home, record)
            keeper.go()

    def _stop(self, pod_id: str) -> None:
        home = self._home(pod_id)
        if not home.exists():
            return
        record = records.read(home)
        if record is not None:
            processes.end(record.init, self._grace_seconds)
            # The keeper still writes the last words and the exit code.
            processes.wait_gone(record.keeper, self._keeper_seconds)
            processes.send(record.keeper, signal.SIGKILL)
        self._wiring.disconnect(pod_id)
        _discard_disk(home)

    def _remove(self, pod_id: str) -> None:
        record = records.read(self._home(pod_id))
        self._stop(pod_id)
        if self._home(pod_id).exists():
            shutil.rmtree(self._home(pod_id))
        self._servers.release(pod_id)
        if record is not None:
            # A process that waits for its volume cannot be killed before the volume is gone.
            processes.wait_gone(record.init, self._keeper_seconds)

    def _adopt(self, known: frozenset[str]) -> None:
        for orphan in orphans():
            orphan.end()
        running: dict[str, IPv4Network] = {}
        claims: dict[str, str] = {}
        for home in sorted(self._homes.iterdir()):
            record = records.read(home)
            if home.name in known and record is not None:
                claims[home.name] = record.volume
                if processes.is_running(record.init):
                    running[home.name] = record.network
        # First the running ones, so that taking the others away does not close their way out.
        self._wiring.adopt(running)
        for home in sorted(self._homes.iterdir()):
            if home.name not in known:
                self._remove(home.name)
            elif home.name not in running:
                self._stop(home.name)
        self._servers.adopt(claims)

    def _order(self, spec: ContainerSpec, home: Path, subnet: IPv4Network) -> Order:
        private = disk.private_directories(os.environ, CHECKOUT, self._state)
        volume, server = self._volume(spec)
        return Order(
            home=str(home),
            argv=list(spec.args or _IDLE),
            env=spec.env,
            hostname=spec.pod_id,
            address=str(pod_side(subnet)),
            resolver=machine_resolver(),
            private=list(private),
            volume=volume,
            mount_path=spec.mount_path,
            disk_gb=spec.disk_gb,
            volume_mb=spec.volume_mb,
            volume_server=server,
        )

    def _volume(self, spec: ContainerSpec) -> tuple[str | None, int]:
        """Return what is to be mounted as the volume and who serves it, 0 for nobody."""
        if spec.volume is None:
            return None, 0
        if spec.behaviour is None or self._servers.plain:
            return str(spec.volume.resolve()), 0
        mount = self._servers.claim(spec.pod_id, spec.volume.resolve(), spec.behaviour)
        return mount.path, mount.server


async def _to_the_end(work: Callable[..., None], argument: object) -> None:
    """Run blocking work in a thread, which cannot be cancelled: half a start must not overlap the stop after it."""
    running = asyncio.ensure_future(asyncio.to_thread(work, argument))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise


def _discard_disk(home: Path) -> None:
    places = Places(home)
    places.image.unlink(missing_ok=True)
    for directory in (places.disk, places.root):
        if directory.exists():
            directory.rmdir()  # only ever a mount point, and mounted nowhere but in the pod


def _listen_inside(pid: int, port: int) -> socket.socket:
    """Make the socket in a thread that ends: a thread cannot be trusted to come back from another namespace."""
    with ThreadPoolExecutor(max_workers=1) as alone:
        return alone.submit(_listen_here, pid, port).result()


def _listen_here(pid: int, port: int) -> socket.socket:
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        kernel.enter_namespace(namespace, kernel.CLONE_NEWNET)
    finally:
        os.close(namespace)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
