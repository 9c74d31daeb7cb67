"""What an installation is to reach, and the request that asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class SourcePin:
    """A git repository at one commit."""

    name: str
    repository: str
    ref: str
    """The tag or branch a person chose; for display and for the lock file."""
    commit: str
    """Forty hexadecimal digits: what is checked out."""
    requirements: str = ""
    """Text of a hash-locked requirements file; empty means no Python packages."""


@dataclass(frozen=True)
class ModelPin:
    """A model file and where ComfyUI looks for it."""

    name: str
    """File name, ending in .safetensors or .gguf."""
    folder: str
    """ComfyUI's folder below models/: diffusion_models, text_encoders, vae, loras, checkpoints, ..."""
    url: str
    """Where it comes from; empty only for an optional entry, which is then reported and skipped."""
    sha256: str = ""
    """Empty until the first download recorded it in the lock file."""
    size_bytes: int = 0
    """Expected size; 0 when not known."""
    license: str = ""
    optional: bool = False
    approx_bytes: int = 0
    """Rough size, for the check of the volume's room where `size_bytes` is not known; 0 when not known either."""


@dataclass(frozen=True)
class GatewayPlan:
    """Settings of the gateway that are not secret."""

    options: Mapping[str, Any]
    """The gateway's own options, as far as they are set, by their names in `provisioning.contract.gateway_options`."""
    usd_per_hour: float
    """The pod's price, for usage rows."""


@dataclass(frozen=True)
class ProvisionPlan:
    """All that the installer is to reach; its hash decides whether a pod is provisioned again."""

    comfyui: SourcePin
    nodes: tuple[SourcePin, ...]
    models: tuple[ModelPin, ...]
    gateway: GatewayPlan
    comfyui_args: tuple[str, ...] = ()
    """Further command-line arguments for ComfyUI's main.py."""
    isolation: str = "auto"
    """What the stack file asks of the isolation of ComfyUI: `auto`, `folder` or `none`."""
    volume_gb: int = 0
    """Size of the network volume as the stack asks for it; 0 where nobody knows it. `df` shows the whole cluster's."""

    def to_json(self) -> str:
        """Return the plan as JSON with sorted keys: equal plans give equal text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ProvisionPlan:
        """Read a plan back; raises TypeError or KeyError on a form it does not know."""
        raw: dict[str, Any] = json.loads(text)
        return cls(
            comfyui=SourcePin(**raw["comfyui"]),
            nodes=tuple(SourcePin(**node) for node in raw["nodes"]),
            models=tuple(ModelPin(**model) for model in raw["models"]),
            gateway=GatewayPlan(**raw["gateway"]),
            comfyui_args=tuple(raw["comfyui_args"]),
            isolation=raw["isolation"],
            volume_gb=raw["volume_gb"],
        )


@dataclass(frozen=True)
class Secrets:
    """What goes over the pinned SSH connection's standard input and nowhere else."""

    gateway_pepper: str = field(repr=False)
    client_key: str = field(repr=False)
    admin_key: str = field(repr=False)
    hugging_face_token: str = field(default="", repr=False)
    civitai_token: str = field(default="", repr=False)
    gateway_database: str = field(default="", repr=False)
    """URL of a PostgreSQL that outlives the pods; of several gateways the newest alone works. Empty: a file."""


@dataclass(frozen=True)
class SshTarget:
    """Where and how `provisioning.push` logs in."""

    host: str
    port: int
    host_key: str
    """The pod's public host key in `ssh-ed25519 AAAA...` form; nothing else is accepted."""
    private_key: str = field(repr=False)
    user: str = "root"


@dataclass(frozen=True)
class PushRequest:
    """Standard input of `python -m provisioning.push`, one JSON object."""

    target: SshTarget
    plan: ProvisionPlan
    secrets: Secrets

    def to_json(self) -> str:
        """Return the request as JSON; it holds secrets, so it is only ever written to a pipe."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> PushRequest:
        """Read a request back; raises TypeError or KeyError on a form it does not know."""
        raw: dict[str, Any] = json.loads(text)
        return cls(
            target=SshTarget(**raw["target"]),
            plan=ProvisionPlan.from_json(json.dumps(raw["plan"])),
            secrets=Secrets(**raw["secrets"]),
        )
