"""Names: what a resource is called in RunPod's console and in the state."""

from __future__ import annotations

PROJECT = "comfyui-runpod"

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
"""Host names of this machine itself."""


def token(noun: str) -> str:
    """Return the type token of one of our components, for example `comfyui:index:GpuPod`."""
    return f"comfyui:index:{noun}"


def child(parent: str, suffix: str) -> str:
    """Return the logical name of a component's child: `{parent}-{suffix}`."""
    return f"{parent}-{suffix}"


def physical(environment: str, role: str) -> str:
    """Return the name a person reads in RunPod's console; the provider appends its marker to it."""
    return f"comfyui-{environment}-{role}"


RUNNING_COST = "COMFYUI_RUNPOD_RUNNING_USD_PER_HOUR"
"""Environment variable by which the commands tell the program what the stack costs now; empty when nothing runs."""

VOLUME_CENTER = "COMFYUI_RUNPOD_VOLUME_DATA_CENTER"
"""Environment variable by which the commands tell the program where the volume is; empty when it is not made yet."""

PAUSED = "COMFYUI_RUNPOD_PAUSED"
"""Environment variable by which the commands tell the program to declare no pod: `1`, or empty."""
