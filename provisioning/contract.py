"""The one file shared by those who declare a pod and those who run on it.

Standard library only: on the pod it is read by the system's Python before any package is installed.
Everything here is data; nothing reads the environment or the disk on import.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

GATEWAY_PORT = 8189
"""The only HTTP port a pod publishes."""

COMFYUI_PORT = 8188
"""Where ComfyUI listens, on 127.0.0.1 alone; never published."""

SSH_PORT = 22

PUBLISHED_PORTS = (f"{GATEWAY_PORT}/http", f"{SSH_PORT}/tcp")
"""What a pod publishes, in RunPod's `port/protocol` form; policies refuse anything else."""

VOLUME_PARENT = "/persistent"
"""A folder of the container disk whose mode keeps users out of what is mounted in it, whatever modes that shows."""

VOLUME_MOUNT = f"{VOLUME_PARENT}/volume"
"""Where RunPod mounts the network volume: the only thing that survives a stop."""

HOME = f"{VOLUME_MOUNT}/comfyui-runpod"
"""Root of everything we keep on the volume (see provisioning.layout for what lies below it)."""

LOCAL = "/srv/comfyui-runpod"
"""Root of everything we keep on the container disk: what runs and what is read and written often."""

RUN_DIR = "/run/comfyui-runpod"
"""Container disk; holds the environment the pod was started with, for root alone."""

COMFYUI_UID = 10001
GATEWAY_UID = 10002
"""Fixed ids: files on the volume keep their owner when the users are made again after a restart."""

VOLUME_KEY_VARIABLE = "COMFYUI_VOLUME_KEY"
"""The variable of the pod's environment that holds the volume key."""

BOOT_REVISION = 1
"""Raised with a change of the boot script that a running pod must not wait for: then the pod is reset for it."""

BOOT_REVISION_VARIABLE = "COMFYUI_BOOT_REVISION"
BOOT_SCRIPT_VARIABLE = "COMFYUI_BOOT_SCRIPT"

DEFERRED_VARIABLES = (BOOT_SCRIPT_VARIABLE,)
"""Variables whose change alone resets no pod: the new value goes along with the next change that does."""

START_COMMAND = "bash -c 'eval \"$COMFYUI_BOOT_SCRIPT\"'"
"""The pod's `args`. The script travels in the environment, so that no quoting of RunPod's touches it."""


def boot_script() -> str:
    """Return the start script a pod runs on every container start."""
    return Path(__file__).with_name("boot.sh").read_text(encoding="utf-8")


@dataclass(frozen=True)
class PodEnv:
    """The environment we give a pod, beside RunPod's own RUNPOD_* variables."""

    boot_script: str
    ssh_host_key: str
    """Private ed25519 key in OpenSSH form: the pod's identity, pinned by our client."""
    ssh_authorized_key: str
    """The one public key that may log in."""
    volume_key: str = field(repr=False)
    """Keys the hashes of what is run from the volume, and seals the secrets that lie there."""

    def to_env(self) -> dict[str, str]:
        """Return the variables in the form of RunPod's `env`."""
        return {
            BOOT_SCRIPT_VARIABLE: self.boot_script,
            BOOT_REVISION_VARIABLE: str(BOOT_REVISION),
            "COMFYUI_SSH_HOST_KEY": self.ssh_host_key,
            "COMFYUI_SSH_AUTHORIZED_KEY": self.ssh_authorized_key,
            VOLUME_KEY_VARIABLE: self.volume_key,
        }

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> PodEnv:
        """Read the variables back; raises KeyError naming the one that is missing."""
        names = ("COMFYUI_BOOT_SCRIPT", "COMFYUI_SSH_HOST_KEY", "COMFYUI_SSH_AUTHORIZED_KEY", VOLUME_KEY_VARIABLE)
        return cls(*(env[name] for name in names))


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
    """The gateway's own options, as far as they are set, by their names in `provisioning.gateway.options`."""
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
