"""What the services are to be, as the installer decided it; a start after a restart needs nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from provisioning.contract import GatewayPlan, Secrets
from provisioning.host.files import write
from provisioning.layout import Layout


@dataclass(frozen=True)
class Tree:
    """A directory that an archive on the volume is unpacked to."""

    archive: str
    path: str
    """Below our root on the container disk."""


@dataclass(frozen=True)
class ComfyUIService:
    """How ComfyUI is started; paths are relative to our root on the container disk."""

    python: str
    source: str
    arguments: tuple[str, ...]
    revision: str
    """Digest of what it loads besides its command: another one means a restart."""
    trees: tuple[Tree, ...] = ()
    """What must be unpacked before it starts."""
    nodes: tuple[tuple[str, str], ...] = ()
    """Custom nodes: name and path."""
    models: tuple[tuple[str, str], ...] = ()
    """Models: `folder/name` and SHA-256."""


@dataclass(frozen=True)
class GatewayService:
    """How the gateway is started."""

    python: str
    plan: GatewayPlan
    pepper: str = field(repr=False)
    client_key: str = field(repr=False)
    admin_key: str = field(repr=False)
    database: str = field(default="", repr=False)
    """URL of a shared PostgreSQL; empty means a file of the pod's own."""

    @property
    def archive(self) -> str:
        """The archive that holds its interpreter and packages: `venvs/<archive>/bin/python`."""
        return PurePosixPath(self.python).parts[1]


@dataclass(frozen=True)
class ServiceSpec:
    """Both services and the bundle whose code starts them."""

    bundle: str
    comfyui: ComfyUIService
    gateway: GatewayService
    isolation: str = "auto"
    """What the stack file asks of the isolation of ComfyUI."""
    volume_gb: int = 0
    """Size of the volume; 0 where nobody knows it."""

    @property
    def archives(self) -> tuple[str, ...]:
        """Names of the archives on the volume that a start needs."""
        return (f"bundle-{self.bundle}", self.gateway.archive, *(tree.archive for tree in self.comfyui.trees))

    def to_json(self) -> str:
        """Return it as JSON with sorted keys; it holds secrets."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ServiceSpec:
        """Read it back; raises KeyError or TypeError on another form."""
        raw: dict[str, Any] = json.loads(text)
        service = raw["comfyui"]
        pairs = {name: tuple((first, second) for first, second in service[name]) for name in ("nodes", "models")}
        trees = {"trees": tuple(Tree(**tree) for tree in service["trees"]), "arguments": tuple(service["arguments"])}
        gateway = raw["gateway"] | {"plan": GatewayPlan(**raw["gateway"]["plan"])}
        return cls(
            raw["bundle"], ComfyUIService(**(service | pairs | trees)), GatewayService(**gateway), raw["isolation"],
            raw["volume_gb"],
        )  # fmt: skip


def read(layout: Layout) -> ServiceSpec | None:
    """Return what is desired on this pod; None before the first installation, and before a start has opened it."""
    try:
        return ServiceSpec.from_json(layout.service_spec.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def store(layout: Layout, spec: ServiceSpec) -> None:
    """Keep it on the container disk, for root alone."""
    write(layout.service_spec, spec.to_json(), mode=0o600)


def gateway_service(python: str, plan: GatewayPlan, secrets: Secrets) -> GatewayService:
    """Return the gateway's part."""
    keys = (secrets.gateway_pepper, secrets.client_key, secrets.admin_key)
    return GatewayService(python, plan, *keys, secrets.gateway_database)
