"""The inputs of a pod: their defaults, and what is wrong with a single one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.runpod.plugin import checks
from components.runpod.plugin.kind import REQUIRED
from components.runpod.plugin.values import Values

DEFAULTS: Mapping[str, Any] = {
    "name": REQUIRED,
    "imageName": REQUIRED,
    "guard": REQUIRED,
    "computeType": "GPU",
    "gpuTypeIdList": [],
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
    "gpuCount": checks.whole(1, 16, "GPUs"),
    "vcpuCount": checks.power_of_two(2, 256, "vCPUs"),
    "cloudType": checks.one_of("SECURE", "COMMUNITY"),
    "dataCenterIds": checks.data_centers,
    "networkVolumeId": checks.any_text,
    "volumeMountPath": checks.text,
    "containerDiskInGb": checks.whole(1, 10_000, "GB"),
    "ports": checks.ports,
    "env": checks.environment,
    "dockerArgs": checks.any_text,
    "containerRegistryAuthId": checks.any_text,
    "allowedCudaVersions": checks.cuda_versions,
    "minCudaVersion": checks.cuda_version,
    "readyTimeoutSeconds": checks.whole(30, 7200, "seconds"),
    "whenStopped": checks.one_of("start", "replace"),
}


def placement(inputs: Values) -> list[object]:
    """Return what decides where a pod goes; nothing for no inputs."""
    names = ("gpuTypeIdList", "gpuCount", "cpuFlavorIdList", "vcpuCount", "cloudType", "dataCenterIds")
    return [inputs.get(name, DEFAULTS[name]) for name in names] if inputs else []
