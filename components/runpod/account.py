"""Functions that query a pod's status and the account's bills while the program runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.runpod.binding import camel


@dataclass(frozen=True)
class PodStatus:
    """A pod as it is now."""

    pod_id: str
    name: str
    status: str
    """PROVISIONING, STARTING, RUNNING, EXITED, ERROR or TERMINATED."""
    image_name: str
    cloud_type: str
    gpu: str
    """GPU type; empty for a CPU pod."""
    gpu_count: int
    """Current GPUs; 0 when none was available at its last start."""
    cpu_flavor_id: str
    vcpu_count: int
    """0 for a GPU pod."""
    data_center: str
    network_volume_id: str
    container_disk_in_gb: int
    ports: str
    cost_per_hr: float
    """USD per hour now; 0 while it is stopped."""
    ssh_host: str
    ssh_port: int
    urls: Mapping[str, str]
    cuda_version: str
    created_at: str
    started_at: str


@dataclass(frozen=True)
class BillingRecord:
    """The bill of one period, in USD."""

    start_time: str
    end_time: str
    resource_id: str
    """Empty in a record of the whole account."""
    total: float
    amounts: Mapping[str, float]
    """Amounts by part, with RunPod's names."""


@dataclass(frozen=True)
class Billing:
    """An answer of `get_billing`."""

    records: tuple[BillingRecord, ...]
    total: float
    """Total of all records in USD."""


def get_pod(pod_id: str, *, opts: pulumi.InvokeOptions | None = None) -> PodStatus:
    """Return the current status of any pod, without its environment."""
    return _pod(pulumi.runtime.invoke("runpod:index:getPod", {"podId": pod_id}, opts).value)


def get_pod_output(
    pod_id: pulumi.Input[str], *, opts: pulumi.InvokeOutputOptions | None = None
) -> pulumi.Output[PodStatus]:
    """Return `get_pod` as an output."""
    return pulumi.runtime.invoke_output("runpod:index:getPod", {"podId": pod_id}, opts).apply(_pod)


def get_billing(
    *,
    resource: str = "",
    resource_id: str = "",
    start_time: str = "",
    end_time: str = "",
    last_n: int = 0,
    bucket_size: str = "day",
    opts: pulumi.InvokeOptions | None = None,
) -> Billing:
    """Return RunPod's bill; records are available after some hours.

    Args:
        resource: pods, serverless, endpoints, network-volumes or clusters; empty means the whole account.
        resource_id: Only this pod, serverless endpoint or network volume.
        start_time: RFC 3339; empty means 30 days ago.
        end_time: RFC 3339; empty means now.
        last_n: Number of latest buckets, instead of a start time.
        bucket_size: hour, day, week, month or year.
        opts: Pulumi invoke options.
    """
    args = {"resource": resource, "resourceId": resource_id, "startTime": start_time, "endTime": end_time}
    args_and_size: dict[str, Any] = {**args, "lastN": last_n, "bucketSize": bucket_size}
    answer = pulumi.runtime.invoke("runpod:index:getBilling", args_and_size, opts).value
    return Billing(tuple(BillingRecord(**_snake(BillingRecord, raw)) for raw in answer["records"]), answer["total"])


def _pod(raw: Mapping[str, Any]) -> PodStatus:
    counted = {name: int(raw[name]) for name in ("gpuCount", "vcpuCount", "containerDiskInGb", "sshPort")}
    return PodStatus(**_snake(PodStatus, {**raw, **counted}))


def _snake(form: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: raw[camel(name)] for name in form.__annotations__}
