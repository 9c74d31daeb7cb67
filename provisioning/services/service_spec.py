"""The specification of both services, which is all that a restart needs."""

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
    """A directory to which an archive on the volume is unpacked."""

    archive: str
    path: str
    """Path relative to the installation's root on the container disk."""


@dataclass(frozen=True)
class ComfyUIService:
    """ComfyUI's start; paths are relative to the installation's root on the container disk."""

    python: str
    source: str
    arguments: tuple[str, ...]
    revision: str
    """Digest of what it loads in addition to its command; a change causes a restart."""
    trees: tuple[Tree, ...] = ()
    """Trees that must be unpacked before it starts."""
    nodes: tuple[tuple[str, str], ...] = ()
    """Custom nodes: name and path."""
    models: tuple[tuple[str, str], ...] = ()
    """Models: `folder/name` and SHA-256."""


@dataclass(frozen=True)
class GatewayService:
    """The gateway's start."""

    python: str
    plan: GatewayPlan
    pepper: str = field(repr=False)
    client_key: str = field(repr=False)
    admin_key: str = field(repr=False)
    database: str = field(default="", repr=False)
    """URL of a shared PostgreSQL database; empty means a file on the pod."""

    @property
    def archive(self) -> str:
        """The archive with its interpreter and packages: `venvs/<archive>/bin/python`."""
        return PurePosixPath(self.python).parts[1]


@dataclass(frozen=True)
class ServiceSpec:
    """Both services and the bundle whose code starts them."""

    bundle: str
    comfyui: ComfyUIService
    gateway: GatewayService
    isolation: str = "auto"
    """Isolation of ComfyUI in the stack file."""
    volume_gb: int = 0
    """Size of the volume; 0 when unknown."""

    @property
    def archives(self) -> tuple[str, ...]:
        """Names of the archives on the volume that a start needs."""
        return (f"bundle-{self.bundle}", self.gateway.archive, *(tree.archive for tree in self.comfyui.trees))

    def to_json(self) -> str:
        """Return it as JSON with sorted keys; it contains secrets."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ServiceSpec:
        """Parse it; raises KeyError or TypeError on an unknown format."""
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
    """Return the specification; None before the first installation, and before a start has decrypted it."""
    try:
        return ServiceSpec.from_json(layout.service_spec.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def store(layout: Layout, spec: ServiceSpec) -> None:
    """Write it to the container disk, readable by root only."""
    write(layout.service_spec, spec.to_json(), mode=0o600)


def gateway_service(python: str, plan: GatewayPlan, secrets: Secrets) -> GatewayService:
    """Return the gateway's part."""
    keys = (secrets.gateway_pepper, secrets.client_key, secrets.admin_key)
    return GatewayService(python, plan, *keys, secrets.gateway_database)
