"""The plan of an installation, and the request that contains it."""

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
    """The chosen tag or branch, for display and for the lock file."""
    commit: str
    """The commit to check out, 40 hexadecimal digits."""
    requirements: str = ""
    """Text of a hash-locked requirements file; empty means no Python packages."""


@dataclass(frozen=True)
class ModelPin:
    """A model file and its place in ComfyUI's folders."""

    name: str
    """File name, ending in .safetensors or .gguf."""
    folder: str
    """ComfyUI's folder below models/: diffusion_models, text_encoders, vae, loras, checkpoints, ..."""
    url: str
    """Download address; empty only for an optional entry, which is then reported and skipped."""
    sha256: str = ""
    """SHA-256; empty until the first download was recorded in the lock file."""
    size_bytes: int = 0
    """Expected size; 0 when unknown."""
    license: str = ""
    optional: bool = False
    approx_bytes: int = 0
    """Approximate size for the check of the volume's free space when `size_bytes` is unknown; 0 when unknown."""


@dataclass(frozen=True)
class GatewayPlan:
    """The gateway's settings except secrets."""

    options: Mapping[str, Any]
    """Options that are set, by their names in `provisioning.contract.gateway_options`."""
    usd_per_hour: float
    """The pod's price, for usage rows."""


@dataclass(frozen=True)
class ProvisionPlan:
    """The complete installation plan; its hash decides whether a pod is provisioned again."""

    comfyui: SourcePin
    nodes: tuple[SourcePin, ...]
    models: tuple[ModelPin, ...]
    gateway: GatewayPlan
    comfyui_args: tuple[str, ...] = ()
    """Further command-line arguments for ComfyUI's main.py."""
    isolation: str = "auto"
    """Isolation of ComfyUI in the stack file: `auto`, `folder` or `none`."""
    volume_gb: int = 0
    """Requested size of the network volume; 0 when unknown. `df` shows the whole cluster's size."""

    def to_json(self) -> str:
        """Return the plan as JSON with sorted keys: equal plans give equal text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ProvisionPlan:
        """Parse a plan; raises TypeError or KeyError on an unknown format."""
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
    """Secrets that are sent only over the standard input of the pinned SSH connection."""

    gateway_pepper: str = field(repr=False)
    client_key: str = field(repr=False)
    admin_key: str = field(repr=False)
    hugging_face_token: str = field(default="", repr=False)
    civitai_token: str = field(default="", repr=False)
    gateway_database: str = field(default="", repr=False)
    """URL of a PostgreSQL database that outlives the pods; only the newest gateway writes to it. Empty: a file."""


@dataclass(frozen=True)
class SshTarget:
    """SSH address and keys for `provisioning.push`."""

    host: str
    port: int
    host_key: str
    """The pod's public host key in `ssh-ed25519 AAAA...` form; no other is accepted."""
    private_key: str = field(repr=False)
    user: str = "root"


@dataclass(frozen=True)
class PushRequest:
    """Standard input of `python -m provisioning.push`, one JSON object."""

    target: SshTarget
    plan: ProvisionPlan
    secrets: Secrets

    def to_json(self) -> str:
        """Return the request as JSON; it contains secrets and must only be written to a pipe."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> PushRequest:
        """Parse a request; raises TypeError or KeyError on an unknown format."""
        raw: dict[str, Any] = json.loads(text)
        return cls(
            target=SshTarget(**raw["target"]),
            plan=ProvisionPlan.from_json(json.dumps(raw["plan"])),
            secrets=Secrets(**raw["secrets"]),
        )
