"""How the emulator's pods are made: one protocol, two runtimes (`namespace` and `process`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.emulator.runtimes.volume_behaviour import Behaviour, Orders

if TYPE_CHECKING:
    import socket


class RuntimeFailureError(Exception):
    """A container could not be started or ended; the text says what, where and what to do next."""


@dataclass(frozen=True)
class ContainerSpec:
    """All a runtime needs to know to run one pod's container."""

    pod_id: str
    args: list[str]
    """The start command, already split; empty means: run nothing and stay up."""
    env: dict[str, str] = field(repr=False)
    """The whole environment of the container, RUNPOD_* and PUBLIC_KEY included."""
    volume: Path | None
    """Directory of the network volume; None when the pod has none."""
    mount_path: str
    """Where the volume is mounted, absolute inside the pod."""
    ports: tuple[int, ...]
    """The private ports the pod publishes, http and tcp."""
    disk_gb: int
    """Size of the container disk in GB."""
    volume_mb: int = 0
    """What really fits on the volume in MB, where the runtime can limit it; 0: no limit of its own."""
    behaviour: Behaviour | None = None
    """How a network volume behaves where the runtime can show it; None: it is a plain directory."""


@dataclass(frozen=True)
class ContainerStatus:
    """What is known of a container now."""

    running: bool
    exit_code: int | None
    """Exit code of the start command where it has ended and the runtime could learn it."""
    started_at: float | None
    """Unix time of the container's start; None when it never ran."""


class Volumes(Protocol):
    """What a runtime can do with network volumes beside mounting them."""

    plain: str
    """Why they are plain directories here; empty where they behave as RunPod's."""

    def behave(self, volume_id: str, behaviour: Behaviour) -> bool:
        """Have a volume behave so from now on; False where no pod has it."""

    def order(self, volume_id: str, orders: Orders) -> bool:
        """Have a volume do something at once; False where no pod has it."""

    def end(self, volume_id: str) -> None:
        """A volume is deleted: take it from the pods that have it."""


class PlainVolumes:
    """Network volumes of a runtime that has directories only: they do what they are told nowhere."""

    def __init__(self, plain: str) -> None:
        self.plain = plain

    def behave(self, volume_id: str, behaviour: Behaviour) -> bool:
        """Do nothing."""
        return False

    def order(self, volume_id: str, orders: Orders) -> bool:
        """Do nothing."""
        return False

    def end(self, volume_id: str) -> None:
        """Do nothing."""


class Runtime(Protocol):
    """Runs containers that outlive the emulator: each is a session of its own, taken up again by `adopt`."""

    name: str
    limits: tuple[str, ...]
    """What this runtime cannot show, said in --help and at start."""
    volumes: Volumes

    async def start(self, spec: ContainerSpec) -> None:
        """Start the container on a fresh container disk; raises RuntimeFailureError."""

    async def stop(self, pod_id: str) -> None:
        """End every process of the pod; the container disk is gone, the volume is kept."""

    async def remove(self, pod_id: str) -> None:
        """Leave no process, mount, interface, rule or directory of the pod; fine when there is none."""

    async def status(self, pod_id: str) -> ContainerStatus:
        """Say whether the container runs; an unknown pod is one that does not."""

    async def adopt(self, specs: Mapping[str, ContainerSpec]) -> None:
        """Take up the pods in `specs` that still run; clean away what is not in it, also after a kill -9."""

    def address(self, pod_id: str, private_port: int) -> tuple[str, int]:
        """Return where the emulator connects to reach a port of the pod; raises KeyError for an unknown pod."""

    def log_path(self, pod_id: str) -> Path:
        """Return the file that holds the container's stdout and stderr, appended to."""

    async def inner_listener(self, pod_id: str, port: int) -> socket.socket | None:
        """Return a listening socket on 127.0.0.1:port inside the pod's network; None where loopback is shared."""

    async def close(self) -> None:
        """The emulator ends; let go of everything without ending a pod."""
