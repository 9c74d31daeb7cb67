"""RunPod resources for Pulumi: typed bindings of the provider in `plugin/`."""

from components.runpod.account import Billing, BillingRecord, PodStatus, get_billing, get_pod, get_pod_output
from components.runpod.account_ssh_key import AccountSshKey
from components.runpod.catalogue import (
    CpuType,
    CpuTypes,
    DataCenter,
    DataCenters,
    GpuType,
    GpuTypes,
    get_cpu_types,
    get_cpu_types_output,
    get_data_centers,
    get_data_centers_output,
    get_gpu_types,
    get_gpu_types_output,
)
from components.runpod.endpoint import Endpoint
from components.runpod.pod import Pod
from components.runpod.provider import Provider
from components.runpod.registry_auth import ContainerRegistryAuth
from components.runpod.secrets import RandomSecret, SshKeyPair
from components.runpod.stack_guard import StackGuard
from components.runpod.template import Template
from components.runpod.volume import NetworkVolume

__all__ = [
    "AccountSshKey",
    "Billing",
    "BillingRecord",
    "ContainerRegistryAuth",
    "CpuType",
    "CpuTypes",
    "DataCenter",
    "DataCenters",
    "Endpoint",
    "GpuType",
    "GpuTypes",
    "NetworkVolume",
    "Pod",
    "PodStatus",
    "Provider",
    "RandomSecret",
    "SshKeyPair",
    "StackGuard",
    "Template",
    "get_billing",
    "get_cpu_types",
    "get_cpu_types_output",
    "get_data_centers",
    "get_data_centers_output",
    "get_gpu_types",
    "get_gpu_types_output",
    "get_pod",
    "get_pod_output",
]
