"""The contract between the Pulumi program and the pod.

This module and its imports use the standard library only, because the system's Python on the pod imports them before
any package is installed. `gateway_options` needs pydantic and is imported separately. Importing has no side effects.
"""

from provisioning.contract.plan import (
    GatewayPlan,
    ModelPin,
    ProvisionPlan,
    PushRequest,
    Secrets,
    SourcePin,
    SshTarget,
)
from provisioning.contract.pod import (
    BOOT_REVISION,
    BOOT_REVISION_VARIABLE,
    BOOT_SCRIPT_VARIABLE,
    COMFYUI_PORT,
    COMFYUI_UID,
    DEFERRED_VARIABLES,
    GATEWAY_PORT,
    GATEWAY_UID,
    HOME,
    LOCAL,
    PUBLISHED_PORTS,
    RUN_DIR,
    SSH_PORT,
    START_COMMAND,
    VOLUME_KEY_VARIABLE,
    VOLUME_MOUNT,
    VOLUME_PARENT,
    PodEnv,
    boot_script,
    gateway_host,
)

__all__ = [
    "BOOT_REVISION",
    "BOOT_REVISION_VARIABLE",
    "BOOT_SCRIPT_VARIABLE",
    "COMFYUI_PORT",
    "COMFYUI_UID",
    "DEFERRED_VARIABLES",
    "GATEWAY_PORT",
    "GATEWAY_UID",
    "HOME",
    "LOCAL",
    "PUBLISHED_PORTS",
    "RUN_DIR",
    "SSH_PORT",
    "START_COMMAND",
    "VOLUME_KEY_VARIABLE",
    "VOLUME_MOUNT",
    "VOLUME_PARENT",
    "GatewayPlan",
    "ModelPin",
    "PodEnv",
    "ProvisionPlan",
    "PushRequest",
    "Secrets",
    "SourcePin",
    "SshTarget",
    "boot_script",
    "gateway_host",
]
