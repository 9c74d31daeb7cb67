"""Every kind that makes something at RunPod, with inputs and changes of them, for the tests that hold for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from components.runpod.plugin.base.resource import ResourceHandler
from components.runpod.plugin.resources.registry import HANDLERS

GUARD = "0123456789"
GPU = "NVIDIA RTX A5000"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILXGDN"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTHER"


@dataclass(frozen=True)
class Case:
    """One kind in one form."""

    name: str
    token: str
    path: str
    """Where it is made at RunPod."""
    inputs: dict[str, Any]
    updates: dict[str, Any] = field(default_factory=dict)
    """Changes that happen in place."""
    replaces: dict[str, Any] = field(default_factory=dict)
    """A change that needs another one."""
    drift: dict[str, Any] = field(default_factory=dict)
    """What somebody else changes, in the members of the API."""
    verb: str = "POST"

    @property
    def kind(self) -> ResourceHandler:
        return HANDLERS[f"runpod:index:{self.token}"]

    @property
    def declared(self) -> dict[str, Any]:
        return {"name": "x", "guard": GUARD, **self.inputs}

    def __str__(self) -> str:
        return self.name


_IMAGE = {"imageName": "image:1", "env": {"A": "1"}}
CASES = [
    Case(
        "gpu-pod", "Pod", "/v2/pods",
        {**_IMAGE, "gpuTypeIdList": [GPU], "ports": "8189/http, 22/tcp"},
        {"imageName": "image:2", "env": {"A": "2", "B": "3"}, "containerDiskInGb": 40},
        {"gpuCount": 2},
        {"name": "other", "env": {"A": "9"}, "disk": 55},
    ),
    Case(
        "cpu-pod", "Pod", "/v2/pods",
        {**_IMAGE, "computeType": "CPU", "cpuFlavorIdList": ["cpu5g", "cpu5m"], "vcpuCount": 4},
        {"dockerArgs": "sleep 5"},
        {"vcpuCount": 8},
        {"args": "other"},
    ),
    Case(
        "volume", "NetworkVolume", "/v2/network-volumes",
        {"size": 20, "gpuTypeIdList": [GPU]},
        {"size": 30},
        {"isNextGenStorage": True},
        {"name": "other"},
    ),
    Case(
        "template", "Template", "/v2/templates",
        {**_IMAGE, "volumeInGb": 20, "ports": "80/http, 22/tcp", "allowedCudaVersions": ["12.8", "12.6"]},
        {"imageName": "image:2", "category": "AMD", "startSsh": True, "volumeInGb": 30, "allowedCudaVersions": []},
        {"volumeInGb": 0},
        {"name": "other", "image": "other", "env": {"B": "9"}, "public": True},
    ),
    Case(
        "registry", "ContainerRegistryAuth", "/v2/registries",
        {"username": "me", "password": "canary-password"},
        {},
        {"password": "canary-password-2"},
    ),
    Case(
        "gpu-endpoint", "Endpoint", "/v2/serverless",
        {**_IMAGE, "gpuIds": "ADA_24, AMPERE_24", "workersMin": 1, "locations": "EU-RO-1", "minCudaVersion": "12.6"},
        {
            "workersMin": 2, "workersMax": 5, "scalerType": "REQUEST_COUNT", "gpuIds": "ADA_24", "gpuCount": 2,
            "imageName": "image:2", "minCudaVersion": "", "allowedCudaVersions": "12.8", "flashBootType": "FLASHBOOT",
        },
        {"type": "LOAD_BALANCER", "scalerType": "REQUEST_COUNT"},
        {"name": "other", "workers": {"min": 0, "max": 9}, "timeout": 1000},
    ),
    Case(
        "cpu-endpoint", "Endpoint", "/v2/serverless",
        {**_IMAGE, "computeType": "CPU", "cpuFlavorIdList": ["cpu5g"], "type": "LOAD_BALANCER",
         "scalerType": "REQUEST_COUNT"},
        {"vcpuCount": 4, "idleTimeout": 60, "executionTimeoutMs": 5000},
        {"computeType": "GPU", "gpuIds": "ADA_24"},
        {"cpu": [{"id": "cpu5m", "vcpuCount": 8}]},
    ),
    Case(
        "ssh-key", "AccountSshKey", "/v2/account/ssh-keys",
        {"publicKey": f"{KEY} me@home"},
        {"publicKey": OTHER_KEY},
        {"name": "y"},
        verb="PUT",
    ),
]  # fmt: skip
