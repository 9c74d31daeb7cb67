"""RunPod resources for Pulumi: typed bindings of the provider in `plugin/`."""

from components.runpod.catalogue import (
    DataCenter,
    DataCenters,
    GpuType,
    GpuTypes,
    get_data_centers,
    get_data_centers_output,
    get_gpu_types,
    get_gpu_types_output,
)
from components.runpod.pod import Pod
from components.runpod.provider import Provider
from components.runpod.secrets import RandomSecret, SshKeyPair
from components.runpod.stack_guard import StackGuard
from components.runpod.volume import NetworkVolume

__all__ = [
    "DataCenter",
    "DataCenters",
    "GpuType",
    "GpuTypes",
    "NetworkVolume",
    "Pod",
    "Provider",
    "RandomSecret",
    "SshKeyPair",
    "StackGuard",
    "get_data_centers",
    "get_data_centers_output",
    "get_gpu_types",
    "get_gpu_types_output",
]
