"""A GPU or CPU pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict, Unpack

import pulumi

from components.runpod.binding import Resource, declared, secret_env, with_secrets


class PodInputs(TypedDict, total=False):
    """Inputs of a pod."""

    name_: Required[pulumi.Input[str]]
    """Base of the physical name; the stack's marker is appended. Changed in place."""
    image_name: Required[pulumi.Input[str]]
    """Container image. Changed in place, which resets the pod."""
    compute_type: pulumi.Input[str] | None
    """GPU (default) or CPU; a change replaces the pod."""
    gpu_type_id_list: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """Ranked GPU types of a GPU pod; the first in stock is used. Removing the current one replaces the pod."""
    gpu_requirement: pulumi.Input[Mapping[str, Any]] | None
    """Required capabilities, if the market chooses the GPU types: minMemoryGb, maxUsdPerHour, tiers, exclude.

    The list then applies to a new pod only, and the pod is replaced only when a changed requirement excludes it.
    """
    cpu_flavor_id_list: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """Ranked CPU flavours of a CPU pod; the first in stock is used, at creation only."""
    vcpu_count: pulumi.Input[int] | None
    """vCPUs of a CPU pod, a power of two, 2 by default; a change replaces it."""
    guard: Required[pulumi.Input[str]]
    """Instance id of the stack's guard; a change replaces the pod."""
    gpu_count: pulumi.Input[int] | None
    """GPUs of the pod, 1 by default; a change replaces it."""
    cloud_type: pulumi.Input[str] | None
    """SECURE (default) or COMMUNITY; a pod with a network volume needs SECURE. A change replaces the pod."""
    data_center_ids: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """Ranked data centres; none means any, or the volume's. Removing the current one replaces the pod."""
    network_volume_id: pulumi.Input[str] | None
    """Volume to mount; a change replaces the pod."""
    volume_mount_path: pulumi.Input[str] | None
    """Where the volume is mounted, /workspace by default. Changed in place, which resets the pod."""
    container_disk_in_gb: pulumi.Input[int] | None
    """Container disk in GB, lost at every stop; at least 1, 30 by default. Changed in place, which resets the pod."""
    ports: pulumi.Input[str] | None
    """Published ports, such as `8189/http,22/tcp`. Changed in place, which resets the pod."""
    env: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None
    """Environment of the container, kept as a secret. Changed in place, which resets the pod."""
    deferred_env: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """Variables whose change alone does not reset the pod; it is applied with the next change that does."""
    docker_args: pulumi.Input[str] | None
    """Arguments for the image's entry point. Changed in place, which resets the pod."""
    container_registry_auth_id: pulumi.Input[str] | None
    """Registry credentials to pull the image with. Changed in place, which resets the pod."""
    allowed_cuda_versions: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """Acceptable CUDA versions of the host, `major.minor`; removing the current host's replaces the pod."""
    min_cuda_version: pulumi.Input[str] | None
    """Lowest acceptable CUDA version of the host, `major.minor`; one above the current host's replaces the pod."""
    ready_timeout_seconds: pulumi.Input[int] | None
    """Seconds to wait for RUNNING with SSH and ports, 30 to 7200, 900 by default."""
    when_stopped: pulumi.Input[str] | None
    """`start` (default) or `replace`: what an update does with a stopped pod."""


class Pod(Resource):
    """A pod on the first available GPU type or CPU flavour, created once and awaited until it is ready."""

    token = "runpod:index:Pod"  # noqa: S105 - a resource type
    outputs = (
        "podId",
        "gpu",
        "cpuFlavorId",
        "dataCenter",
        "costPerHr",
        "sshHost",
        "sshPort",
        "urls",
        "status",
        "physicalName",
        "cudaVersion",
        "gpusMissingSince",
    )

    def __init__(
        self, resource_name: str, *, opts: pulumi.ResourceOptions | None = None, **inputs: Unpack[PodInputs]
    ) -> None:
        """Declare a pod; see PodInputs."""
        super().__init__(resource_name, secret_env(declared(inputs, PodInputs)), with_secrets(opts, "env"))
        self.acknowledge(self.pod_id)

    @property
    def pod_id(self) -> pulumi.Output[str]:
        """RunPod's id; unknown until created, unlike `id`."""
        return self.output("podId")

    @property
    def gpu(self) -> pulumi.Output[str]:
        """The GPU type; empty for a CPU pod."""
        return self.output("gpu")

    @property
    def cpu_flavor_id(self) -> pulumi.Output[str]:
        """The CPU flavour; empty for a GPU pod."""
        return self.output("cpuFlavorId")

    @property
    def data_center(self) -> pulumi.Output[str]:
        """The data centre the pod runs in."""
        return self.output("dataCenter")

    @property
    def cost_per_hr(self) -> pulumi.Output[float]:
        """USD per hour now; 0 while the pod is stopped."""
        return self.output("costPerHr")

    @property
    def ssh_host(self) -> pulumi.Output[str]:
        """Public address of 22/tcp; empty when that port is not published."""
        return self.output("sshHost")

    @property
    def ssh_port(self) -> pulumi.Output[int]:
        """Public port of 22/tcp, changed by every reset; 0 when not published."""
        return self.output("sshPort")

    @property
    def urls(self) -> pulumi.Output[Mapping[str, str]]:
        """Public address of each HTTP port, by its number as text."""
        return self.output("urls")

    @property
    def status(self) -> pulumi.Output[str]:
        """RUNNING unless something stopped it."""
        return self.output("status")

    @property
    def physical_name(self) -> pulumi.Output[str]:
        """The name at RunPod, marker included."""
        return self.output("physicalName")

    @property
    def cuda_version(self) -> pulumi.Output[str]:
        """CUDA version of the host; empty when unknown."""
        return self.output("cudaVersion")

    @property
    def gpus_missing_since(self) -> pulumi.Output[str]:
        """Since when RunPod shows fewer GPUs than requested, RFC 3339; empty otherwise."""
        return self.output("gpusMissingSince")
