"""The inputs of a pod: their defaults, and what is wrong with a single one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.runpod.plugin import checks, gpu_wish, pod_env
from components.runpod.plugin.kind import REQUIRED
from components.runpod.plugin.values import Values, unknown

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

RULES: Mapping[str, checks.Rule] = {
    "name": checks.name,
    "imageName": checks.text,
    "guard": checks.text,
    "computeType": checks.one_of("GPU", "CPU"),
    "gpuRequirement": gpu_wish.requirement,
    "gpuCount": checks.whole(1, 16, "GPUs"),
    "vcpuCount": checks.power_of_two(2, 256, "vCPUs"),
    "cloudType": checks.one_of("SECURE", "COMMUNITY"),
    "dataCenterIds": checks.data_centers,
    "networkVolumeId": checks.any_text,
    "volumeMountPath": checks.text,
    "containerDiskInGb": checks.whole(1, 10_000, "GB"),
    "ports": checks.ports,
    "env": checks.environment,
    "deferredEnv": pod_env.names,
    "dockerArgs": checks.any_text,
    "containerRegistryAuthId": checks.any_text,
    "allowedCudaVersions": checks.cuda_versions,
    "minCudaVersion": checks.cuda_version,
    "readyTimeoutSeconds": checks.whole(30, 7200, "seconds"),
    "whenStopped": checks.one_of("start", "replace"),
}


_MADE_OF = ("gpuCount", "vcpuCount", "cloudType", "computeType")


def asks_for_more(olds: Values, inputs: Values) -> bool:
    """Say whether the inputs may call for another pod than the one that the old ones have made.

    A ranking that follows from a requirement moves with the market, and more to choose from asks for nothing.
    """
    if not olds:
        return True
    if any(olds.get(name, DEFAULTS[name]) != inputs[name] for name in _MADE_OF):
        return True
    ranked = ["dataCenterIds", "cpuFlavorIdList", *([] if inputs["gpuRequirement"] else ["gpuTypeIdList"])]
    return any(_leaves_out(olds.get(name) or [], inputs[name]) for name in ranked)


def _leaves_out(before: list[str], now: list[str]) -> bool:
    """Say whether something that could be chosen before cannot be now; an empty list leaves every choice."""
    return unknown(now) or (bool(now) and (not before or not set(before) <= set(now)))
