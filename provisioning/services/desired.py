"""What the services are to be, as the installer decided it; a start after a restart needs nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from provisioning.contract import GatewayPlan, Secrets
from provisioning.host.files import write
from provisioning.layout import Layout


@dataclass(frozen=True)
class ComfyUIService:
    """How ComfyUI is started; paths are relative to our home on the volume."""

    python: str
    source: str
    arguments: tuple[str, ...]
    revision: str
    """Digest of what it loads besides its command: another one means a restart."""


@dataclass(frozen=True)
class GatewayService:
    """How the gateway is started."""

    python: str
    plan: GatewayPlan
    pepper: str = field(repr=False)
    client_key: str = field(repr=False)
    admin_key: str = field(repr=False)
    database: str = field(default="", repr=False)
    """URL of a shared PostgreSQL; empty means a file on the volume."""


@dataclass(frozen=True)
class Desired:
    """Both services and the bundle whose code starts them."""

    bundle: str
    comfyui: ComfyUIService
    gateway: GatewayService

    def to_json(self) -> str:
        """Return it as JSON with sorted keys; it holds secrets."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Desired:
        """Read it back; raises KeyError or TypeError on another form."""
        raw: dict[str, Any] = json.loads(text)
        comfyui = raw["comfyui"] | {"arguments": tuple(raw["comfyui"]["arguments"])}
        gateway = raw["gateway"] | {"plan": GatewayPlan(**raw["gateway"]["plan"])}
        return cls(raw["bundle"], ComfyUIService(**comfyui), GatewayService(**gateway))


def read(layout: Layout) -> Desired | None:
    """Return what is desired on this volume; None before the first installation."""
    try:
        return Desired.from_json(layout.desired.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def store(layout: Layout, desired: Desired) -> None:
    """Keep it on the volume, for root alone."""
    write(layout.desired, desired.to_json(), mode=0o600)


def gateway_service(python: str, plan: GatewayPlan, secrets: Secrets) -> GatewayService:
    """Return the gateway's part."""
    keys = (secrets.gateway_pepper, secrets.client_key, secrets.admin_key)
    return GatewayService(python, plan, *keys, secrets.gateway_database)
