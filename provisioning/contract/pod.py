"""Ports, paths, users and environment of a pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

GATEWAY_PORT = 8189
"""The only published HTTP port of a pod."""

PROXY_HOST = "{pod_id}-{port}.proxy.runpod.net"
"""Host name under which RunPod's proxy publishes an HTTP port of a pod."""

COMFYUI_PORT = 8188
"""ComfyUI's port, on 127.0.0.1 only; never published."""

SSH_PORT = 22

PUBLISHED_PORTS = (f"{GATEWAY_PORT}/http", f"{SSH_PORT}/tcp")
"""A pod's published ports in RunPod's `port/protocol` form; policies refuse all others."""

VOLUME_PARENT = "/persistent"
"""A folder on the container disk whose mode restricts access to the volume that is mounted in it."""

VOLUME_MOUNT = f"{VOLUME_PARENT}/volume"
"""Mount path of the network volume, which alone survives a stop."""

HOME = f"{VOLUME_MOUNT}/comfyui-runpod"
"""Root of the installation on the volume; provisioning.layout has the paths below it."""

LOCAL = "/srv/comfyui-runpod"
"""Root of the installation on the container disk: running software and frequently used files."""

RUN_DIR = "/run/comfyui-runpod"
"""Folder on the container disk with the environment of the pod's start, readable by root only."""

COMFYUI_UID = 10001
GATEWAY_UID = 10002
"""Fixed ids, so that files on the volume keep their owner when the users are created again after a restart."""

VOLUME_KEY_VARIABLE = "COMFYUI_VOLUME_KEY"
"""Environment variable of the pod with the volume key."""

BOOT_REVISION = 1
"""Increased with a change of the boot script that must be applied at once, by a reset of the pod."""

BOOT_REVISION_VARIABLE = "COMFYUI_BOOT_REVISION"
BOOT_SCRIPT_VARIABLE = "COMFYUI_BOOT_SCRIPT"

DEFERRED_VARIABLES = (BOOT_SCRIPT_VARIABLE,)
"""Variables whose change alone does not reset the pod; the new value is applied with the next change that does."""

START_COMMAND = "bash -c 'eval \"$COMFYUI_BOOT_SCRIPT\"'"
"""The pod's `args`. The script is in the environment, so that RunPod's quoting does not change it."""


def gateway_host(pod_id: str) -> str:
    """Return the host name at which RunPod's proxy publishes the gateway of a pod."""
    return PROXY_HOST.format(pod_id=pod_id.lower(), port=GATEWAY_PORT)


def boot_script() -> str:
    """Return the boot script, which a pod runs at every container start."""
    return Path(__file__).parents[1].joinpath("boot.sh").read_text(encoding="utf-8")


@dataclass(frozen=True)
class PodEnv:
    """The pod's environment, in addition to RunPod's RUNPOD_* variables."""

    boot_script: str
    ssh_host_key: str
    """Private ed25519 host key in OpenSSH form, which the client pins."""
    ssh_authorized_key: str
    """The only public key that may log in."""
    volume_key: str = field(repr=False)
    """Key for the hashes of software on the volume and the encryption of secrets there."""

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
        """Parse the variables; raises KeyError naming a missing one."""
        names = ("COMFYUI_BOOT_SCRIPT", "COMFYUI_SSH_HOST_KEY", "COMFYUI_SSH_AUTHORIZED_KEY", VOLUME_KEY_VARIABLE)
        return cls(*(env[name] for name in names))
