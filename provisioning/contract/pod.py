"""Ports, paths, users and environment of a pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

GATEWAY_PORT = 8189
"""The only HTTP port a pod publishes."""

PROXY_HOST = "{pod_id}-{port}.proxy.runpod.net"
"""Host name under which RunPod's proxy publishes an HTTP port of a pod."""

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


def gateway_host(pod_id: str) -> str:
    """Return the host name at which RunPod's proxy publishes the gateway of a pod."""
    return PROXY_HOST.format(pod_id=pod_id.lower(), port=GATEWAY_PORT)


def boot_script() -> str:
    """Return the start script a pod runs on every container start."""
    return Path(__file__).parents[1].joinpath("boot.sh").read_text(encoding="utf-8")


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
