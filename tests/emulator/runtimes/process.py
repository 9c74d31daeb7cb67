"""Pods as plain processes and directories, for machines without namespaces."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.emulator.public_ports import Reservation
from tests.emulator.runtimes import (
    ContainerSpec,
    ContainerStatus,
    PlainVolumes,
    RuntimeFailureError,
    Volumes,
    processes,
    ssh,
)
from tests.emulator.state import write_atomically

if TYPE_CHECKING:
    import socket

    import asyncssh

SSH_PORT = 22
IDLE = ["tail", "-f", "/dev/null"]
"""What a container without a start command does."""


@dataclass
class Container:
    """A running pod: its first process, and where its ports really are."""

    process: processes.Process
    started_at: float
    ports: dict[int, int]
    """Private port to the loopback port that stands for it."""
    child: subprocess.Popen[bytes] | None = None
    """Known only to the emulator that started it; one that took it up again cannot learn its exit code."""
    reserved: list[Reservation] = field(default_factory=list, repr=False)
    """The numbers of its ports, which its programs listen on sooner or later; known likewise."""
    server: asyncssh.SSHAcceptor | None = field(default=None, repr=False)


class ProcessRuntime:
    """Runs each pod's start command in a directory of its own, as the emulator's user."""

    name = "process"
    limits: tuple[str, ...] = (
        "a pod is no boundary: its processes are yours and see your files, processes and network",
        "everybody on the pod is one user; users, permissions and ports below 1024 are not shown",
        "absolute paths need the prefix $POD_ROOT, and a port N listens on $POD_PORT_N instead",
        "disk sizes, GPUs, memory and the image are not shown",
        "network volumes are plain directories: chown and chmod work, nothing is full, slow or broken",
    )

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "pods"
        self.volumes: Volumes = PlainVolumes("the process runtime has no other")
        self._containers: dict[str, Container] = {}

    async def start(self, spec: ContainerSpec) -> None:
        """Start the container on a fresh container disk; raises RuntimeFailureError."""
        await self.stop(spec.pod_id)
        root = self._root(spec.pod_id)
        reserved = {private: Reservation() for private in spec.ports}
        ports = {private: each.port for private, each in reserved.items()}
        try:
            make_root(root, spec)
            child = self._spawn(root, spec, ports)
        except OSError as error:
            give_up(reserved.values())
            raise RuntimeFailureError(
                f"pod {spec.pod_id}: the start command {spec.args} does not start: {error}"
            ) from error
        process = processes.Process(child.pid, processes.start_time(child.pid) or "")
        container = Container(process, time.time(), ports, child, list(reserved.values()))
        self._containers[spec.pod_id] = container
        self._record(spec.pod_id, container)
        container.server = await self._serve_ssh(root, spec, ports)

    async def stop(self, pod_id: str) -> None:
        """End every process of the pod; the container disk is gone, the volume is kept."""
        container = self._containers.pop(pod_id, None)
        if container:
            give_up(container.reserved)
        if container and container.server:
            container.server.close()
            await container.server.wait_closed()
        root = self._root(pod_id)
        try:
            await processes.end(marker(root))
        except RuntimeError as error:
            raise RuntimeFailureError(f"pod {pod_id}: {error}") from error
        if container and container.child:
            await asyncio.to_thread(container.child.wait)
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)

    async def remove(self, pod_id: str) -> None:
        """Leave no process and no directory of the pod."""
        await self.stop(pod_id)
        await asyncio.to_thread(shutil.rmtree, self._directory / pod_id, ignore_errors=True)

    async def status(self, pod_id: str) -> ContainerStatus:
        """Say whether the pod's first process runs."""
        container = self._containers.get(pod_id)
        if container is None:
            return ContainerStatus(running=False, exit_code=None, started_at=None)
        code = container.child.poll() if container.child else None
        running = code is None and container.process.is_alive()
        return ContainerStatus(running=running, exit_code=code, started_at=container.started_at)

    async def adopt(self, specs: Mapping[str, ContainerSpec]) -> None:
        """Take up the pods in `specs` that still run; clean away what is not in it."""
        if not self._directory.exists():
            return
        for directory in sorted(self._directory.iterdir()):
            spec = specs.get(directory.name)
            container = read_container(directory / "container.json")
            if spec is None or container is None or not container.process.is_alive():
                await (self.stop if spec else self.remove)(directory.name)
                continue
            container.server = await self._serve_ssh(directory / "root", spec, container.ports)
            self._containers[spec.pod_id] = container

    def address(self, pod_id: str, private_port: int) -> tuple[str, int]:
        """Return the loopback port that stands for a port of the pod; raises KeyError for an unknown pod."""
        container = self._containers[pod_id]
        if private_port == SSH_PORT and container.server:
            return "127.0.0.1", container.server.get_port()
        return "127.0.0.1", container.ports[private_port]

    def log_path(self, pod_id: str) -> Path:
        """Return the file that holds the container's stdout and stderr."""
        return self._directory / pod_id / "container.log"

    async def inner_listener(self, pod_id: str, port: int) -> socket.socket | None:
        """Return None: loopback is shared."""
        del pod_id, port
        return None

    async def close(self) -> None:
        """Let go of the pods; they go on."""
        for container in self._containers.values():
            give_up(container.reserved)
            if container.server:
                container.server.close()
            if container.child:
                processes.let_go(container.child)
        self._containers.clear()

    def _root(self, pod_id: str) -> Path:
        return self._directory / pod_id / "root"

    def _spawn(self, root: Path, spec: ContainerSpec, ports: Mapping[int, int]) -> subprocess.Popen[bytes]:
        environment = base_environment(root, ports) | spec.env | {"POD_ROOT": str(root)}
        with self.log_path(spec.pod_id).open("ab") as log:
            return subprocess.Popen(
                spec.args or IDLE,
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _serve_ssh(
        self, root: Path, spec: ContainerSpec, ports: Mapping[int, int]
    ) -> asyncssh.SSHAcceptor | None:
        # A session over SSH does not inherit the container's variables, here as on a real pod.
        return await ssh.listen(root, spec.env, base_environment(root, ports)) if SSH_PORT in spec.ports else None

    def _record(self, pod_id: str, container: Container) -> None:
        record = {
            "pid": container.process.pid,
            "started": container.process.started,
            "started_at": container.started_at,
            "ports": container.ports,
        }
        write_atomically(self._directory / pod_id / "container.json", json.dumps(record))


def give_up(reserved: Iterable[Reservation]) -> None:
    """Let others have the ports."""
    for each in reserved:
        each.end()


def marker(root: Path) -> str:
    """Return the variable that every process of a pod carries."""
    return f"POD_ROOT={root}"


def base_environment(root: Path, ports: Mapping[int, int]) -> dict[str, str]:
    """Return what every process on the pod gets, started by the container or over SSH."""
    # The interpreter that runs the emulator is known to be new enough; the machine's own may not be.
    python = Path(sys.base_prefix, "bin")
    path = [str(python), *os.defpath.split(os.pathsep), "/usr/local/bin", "/usr/sbin", "/sbin"]
    names = {f"POD_PORT_{private}": str(real) for private, real in ports.items()}
    home = {"HOME": str(root), "USER": "root", "LOGNAME": "root", "SHELL": "/bin/bash", "LANG": "C.UTF-8"}
    return (
        {"PATH": os.pathsep.join(dict.fromkeys(path)), "POD_ROOT": str(root), "TMPDIR": str(root / "tmp")}
        | home
        | names
    )


def make_root(root: Path, spec: ContainerSpec) -> None:
    """Make a fresh container disk with the volume where it is mounted."""
    for name in ("tmp", "run", "etc", "var"):
        (root / name).mkdir(parents=True)
    mount = root / spec.mount_path.lstrip("/")
    mount.parent.mkdir(parents=True, exist_ok=True)
    if spec.volume:
        spec.volume.mkdir(parents=True, exist_ok=True)
        mount.symlink_to(spec.volume.resolve(), target_is_directory=True)
    else:
        mount.mkdir()


def read_container(path: Path) -> Container | None:
    """Return what an earlier emulator recorded of a container, None when it recorded nothing."""
    if not path.exists():
        return None
    raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    ports = {int(key): value for key, value in raw["ports"].items()}
    return Container(processes.Process(raw["pid"], raw["started"]), raw["started_at"], ports)
