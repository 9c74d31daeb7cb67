"""A serverless endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Required, TypedDict, Unpack

import pulumi

from components.runpod.binding import Resource, declared, secret_env, with_secrets


class EndpointInputs(TypedDict, total=False):
    """Inputs of an endpoint; a change updates it in place unless it says otherwise."""

    name_: Required[pulumi.Input[str]]
    """Base of the physical name; the stack's marker is appended."""
    guard: Required[pulumi.Input[str]]
    """Instance id of the stack's guard; a change replaces the endpoint."""
    image_name: pulumi.Input[str] | None
    """Container image; required without a template."""
    template_id: pulumi.Input[str] | None
    """Serverless template to take container settings from, once; settings given here override it."""
    docker_args: pulumi.Input[str] | None
    """Arguments for the image's entry point."""
    container_disk_in_gb: pulumi.Input[int] | None
    """Container disk of a worker in GB, 20 by default."""
    ports: pulumi.Input[str] | None
    """Published ports, such as `80/http`."""
    env: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None
    """Environment of the workers, kept as a secret."""
    container_registry_auth_id: pulumi.Input[str] | None
    """Registry credentials to pull the image with."""
    type: pulumi.Input[str] | None
    """QUEUE (default) or LOAD_BALANCER; a change replaces the endpoint."""
    compute_type: pulumi.Input[str] | None
    """GPU (default) or CPU; a change replaces the endpoint."""
    gpu_ids: pulumi.Input[str] | None
    """Comma-separated GPU pools of GPU workers, such as `ADA_24,AMPERE_24`."""
    excluded_gpu_type_ids: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """GPU types of those pools to exclude."""
    gpu_count: pulumi.Input[int] | None
    """GPUs of each worker, 1 by default."""
    allowed_cuda_versions: pulumi.Input[str] | None
    """Comma-separated acceptable CUDA versions of the host, `major.minor`."""
    min_cuda_version: pulumi.Input[str] | None
    """Lowest acceptable CUDA version of the host, `major.minor`."""
    cpu_flavor_id_list: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """Ranked CPU flavours of CPU workers."""
    vcpu_count: pulumi.Input[int] | None
    """vCPUs of each CPU worker, a power of two, 2 by default."""
    workers_min: pulumi.Input[int] | None
    """Workers that run, and are billed, without requests too; 0 by default."""
    workers_max: pulumi.Input[int] | None
    """Maximum number of workers, 3 by default; 0 disables the endpoint."""
    idle_timeout: pulumi.Input[int] | None
    """Idle seconds after which a worker stops, 1 to 3600, 10 by default."""
    scaler_type: pulumi.Input[str] | None
    """QUEUE_DELAY (default) or REQUEST_COUNT, which LOAD_BALANCER needs."""
    scaler_value: pulumi.Input[int] | None
    """Seconds a request may wait, or requests per worker; 4 by default."""
    execution_timeout_ms: pulumi.Input[int] | None
    """Time-out of one request in milliseconds, 300000 by default."""
    flash_boot_type: pulumi.Input[str] | None
    """OFF (default), FLASHBOOT or PRIORITY_FLASHBOOT."""
    locations: pulumi.Input[str] | None
    """Comma-separated data centres; none means any."""
    network_volume_id: pulumi.Input[str] | None
    """Volume that workers mount."""
    drain_timeout_seconds: pulumi.Input[int] | None
    """Seconds for workers to finish their requests before the endpoint is deleted, 300 by default."""


class Endpoint(Resource):
    """A serverless endpoint, whose workers scale with the requests; they are billed while they exist."""

    token = "runpod:index:Endpoint"  # noqa: S105 - a resource type
    outputs = ("endpointId", "urls", "physicalName")

    def __init__(
        self, resource_name: str, *, opts: pulumi.ResourceOptions | None = None, **inputs: Unpack[EndpointInputs]
    ) -> None:
        """Declare an endpoint; see EndpointInputs."""
        super().__init__(resource_name, secret_env(declared(inputs, EndpointInputs)), with_secrets(opts, "env"))
        self.acknowledge(self.endpoint_id)

    @property
    def endpoint_id(self) -> pulumi.Output[str]:
        """RunPod's id; unknown until created, unlike `id`."""
        return self.output("endpointId")

    @property
    def urls(self) -> pulumi.Output[Mapping[str, str]]:
        """Request addresses by purpose: run, runSync, status, health and so on."""
        return self.output("urls")

    @property
    def physical_name(self) -> pulumi.Output[str]:
        """The name at RunPod, marker included."""
        return self.output("physicalName")
