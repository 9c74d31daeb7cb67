"""Names of resources in RunPod's console and in the state."""

from __future__ import annotations

PROJECT = "comfyui-runpod"

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names of the loopback address."""


def token(noun: str) -> str:
    """Return the type token of a component, for example `comfyui:index:GpuPod`."""
    return f"comfyui:index:{noun}"


def child(parent: str, suffix: str) -> str:
    """Return the logical name of a component's child: `{parent}-{suffix}`."""
    return f"{parent}-{suffix}"


def physical(environment: str, role: str) -> str:
    """Return the name in RunPod's console; the provider appends its marker to it."""
    return f"comfyui-{environment}-{role}"


RUNNING_COST = "COMFYUI_RUNPOD_RUNNING_USD_PER_HOUR"
"""Environment variable with the stack's current cost, from the commands to the program; empty when nothing runs."""

VOLUME_CENTER = "COMFYUI_RUNPOD_VOLUME_DATA_CENTER"
"""Environment variable with the volume's data centre, from the commands to the program; empty without a volume."""

PAUSED = "COMFYUI_RUNPOD_PAUSED"
"""Environment variable by which the commands request an environment without a pod: `1`, or empty."""
