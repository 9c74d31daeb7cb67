"""The inputs of a pod: their defaults, and the rules for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.runpod.plugin.base import gpu_requirement, validation
from components.runpod.plugin.base.property_codec import Values, unknown
from components.runpod.plugin.base.resource import REQUIRED
from components.runpod.plugin.pods import pod_env

DEFAULTS: Mapping[str, Any] = {
    "name": REQUIRED,
    "imageName": REQUIRED,
    "guard": REQUIRED,
    "computeType": "GPU",
    "gpuTypeIdList": [],
    "gpuRequirement": {},
    "gpuCount": 1,
    "cpuFlavorIdList": [],
    "vcpuCount": 2,
    "cloudType": "SECURE",
    "dataCenterIds": [],
    "networkVolumeId": "",
    "volumeMountPath": "/workspace",
    "containerDiskInGb": 30,
    "ports": "",
    "env": {},
    "deferredEnv": [],
    "dockerArgs": "",
    "containerRegistryAuthId": "",
    "allowedCudaVersions": [],
    "minCudaVersion": "",
    "readyTimeoutSeconds": 900,
    "whenStopped": "start",
}

RULES: Mapping[str, validation.Rule] = {
    "name": validation.name,
    "imageName": validation.text,
    "guard": validation.text,
    "computeType": validation.one_of("GPU", "CPU"),
    "gpuRequirement": gpu_requirement.requirement,
    "gpuCount": validation.integer(1, 16, "GPUs"),
    "vcpuCount": validation.power_of_two(2, 256, "vCPUs"),
    "cloudType": validation.one_of("SECURE", "COMMUNITY"),
    "dataCenterIds": validation.data_centers,
    "networkVolumeId": validation.any_text,
    "volumeMountPath": validation.text,
    "containerDiskInGb": validation.integer(1, 10_000, "GB"),
    "ports": validation.ports,
    "env": validation.environment,
    "deferredEnv": pod_env.names,
    "dockerArgs": validation.any_text,
    "containerRegistryAuthId": validation.any_text,
    "allowedCudaVersions": validation.cuda_versions,
    "minCudaVersion": validation.cuda_version,
    "readyTimeoutSeconds": validation.integer(30, 7200, "seconds"),
    "whenStopped": validation.one_of("start", "replace"),
}


_MADE_OF = ("gpuCount", "vcpuCount", "cloudType", "computeType")


def asks_for_more(olds: Values, inputs: Values) -> bool:
    """Return whether the changed inputs may exclude the existing pod.

    A ranking by requirement varies with the market, and additional choices exclude nothing.
    """
    if not olds:
        return True
    if any(olds.get(name, DEFAULTS[name]) != inputs[name] for name in _MADE_OF):
        return True
    ranked = ["dataCenterIds", "cpuFlavorIdList", *([] if inputs["gpuRequirement"] else ["gpuTypeIdList"])]
    return any(_leaves_out(olds.get(name) or [], inputs[name]) for name in ranked)


def _leaves_out(before: list[str], now: list[str]) -> bool:
    """Return whether a previous choice is no longer allowed; an empty list allows every choice."""
    return unknown(now) or (bool(now) and (not before or not set(before) <= set(now)))
