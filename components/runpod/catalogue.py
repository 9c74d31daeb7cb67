"""Functions that query price and stock, live or from the dated price file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi


@dataclass(frozen=True)
class GpuType:
    """A GPU type as RunPod offers it; prices are USD per GPU and hour, None where not offered or not known."""

    id: str
    name: str
    memory_gb: int
    secure_price: float | None
    community_price: float | None
    stock: str
    """NONE, LOW, MEDIUM or HIGH; empty when it comes from the price file."""
    data_centers: Mapping[str, str]
    """Stock by data centre."""


@dataclass(frozen=True)
class GpuTypes:
    """An answer of `get_gpu_types`."""

    gpu_types: tuple[GpuType, ...]
    source: str
    """`api` or `price-file`."""
    as_of: str
    """Date of the figures, YYYY-MM-DD."""


@dataclass(frozen=True)
class CpuType:
    """A CPU flavour as RunPod offers it; prices are USD per vCPU and hour, None where not offered."""

    id: str
    name: str
    group: str
    min_vcpu: int
    max_vcpu: int
    """Maximum; a pod's number is a power of two."""
    ram_gb_per_vcpu: float
    secure_price_per_vcpu: float | None
    serverless_price_per_vcpu: float | None
    stock: str
    """NONE, LOW, MEDIUM or HIGH."""
    data_centers: Mapping[str, str]
    """Stock by data centre."""


@dataclass(frozen=True)
class CpuTypes:
    """An answer of `get_cpu_types`."""

    cpu_types: tuple[CpuType, ...]
    """Empty without an API key: the price file contains no CPU flavours."""
    source: str
    """`api` or `price-file`."""
    as_of: str
    """Date of the figures, YYYY-MM-DD."""


@dataclass(frozen=True)
class DataCenter:
    """A data centre with its storage tiers and stock."""

    id: str
    name: str
    region: str
    network_volume_types: tuple[str, ...]
    gpu_stock: Mapping[str, str]
    """Stock by GPU type."""


@dataclass(frozen=True)
class DataCenters:
    """An answer of `get_data_centers`."""

    data_centers: tuple[DataCenter, ...]
    source: str
    """`api` or `price-file`."""
    as_of: str
    """Date of the figures, YYYY-MM-DD."""


def get_gpu_types(*, gpu_count: int = 1, cloud_type: str = "", opts: pulumi.InvokeOptions | None = None) -> GpuTypes:
    """Return every GPU type with price and, where an API key is configured, stock."""
    answer = pulumi.runtime.invoke("runpod:index:getGpuTypes", _gpu_args(gpu_count, cloud_type), opts)
    return _gpu_types(answer.value)


def get_gpu_types_output(
    *, gpu_count: int = 1, cloud_type: str = "", opts: pulumi.InvokeOutputOptions | None = None
) -> pulumi.Output[GpuTypes]:
    """Return `get_gpu_types` as an output."""
    output = pulumi.runtime.invoke_output("runpod:index:getGpuTypes", _gpu_args(gpu_count, cloud_type), opts)
    return output.apply(_gpu_types)


def get_cpu_types(*, vcpu_count: int = 2, opts: pulumi.InvokeOptions | None = None) -> CpuTypes:
    """Return every CPU flavour with price and stock."""
    return _cpu_types(pulumi.runtime.invoke("runpod:index:getCpuTypes", {"vcpuCount": vcpu_count}, opts).value)


def get_cpu_types_output(
    *, vcpu_count: pulumi.Input[int] = 2, opts: pulumi.InvokeOutputOptions | None = None
) -> pulumi.Output[CpuTypes]:
    """Return `get_cpu_types` as an output."""
    answer = pulumi.runtime.invoke_output("runpod:index:getCpuTypes", {"vcpuCount": vcpu_count}, opts)
    return answer.apply(_cpu_types)


def get_data_centers(*, opts: pulumi.InvokeOptions | None = None) -> DataCenters:
    """Return every data centre with its storage tiers and, where an API key is configured, GPU stock."""
    return _data_centers(pulumi.runtime.invoke("runpod:index:getDataCenters", {}, opts).value)


def get_data_centers_output(*, opts: pulumi.InvokeOutputOptions | None = None) -> pulumi.Output[DataCenters]:
    """Return `get_data_centers` as an output."""
    return pulumi.runtime.invoke_output("runpod:index:getDataCenters", {}, opts).apply(_data_centers)


def _gpu_args(gpu_count: int, cloud_type: str) -> dict[str, Any]:
    return {"gpuCount": gpu_count, "cloudType": cloud_type}


def _gpu_types(answer: Mapping[str, Any]) -> GpuTypes:
    return GpuTypes(tuple(map(_gpu_type, answer["gpuTypes"])), answer["source"], answer["asOf"])


def _gpu_type(raw: Mapping[str, Any]) -> GpuType:
    return GpuType(
        id=raw["id"],
        name=raw["name"],
        memory_gb=int(raw["memoryGb"]),
        secure_price=raw.get("securePrice"),
        community_price=raw.get("communityPrice"),
        stock=raw["stock"],
        data_centers=raw["dataCenters"],
    )


def _cpu_types(answer: Mapping[str, Any]) -> CpuTypes:
    return CpuTypes(tuple(map(_cpu_type, answer["cpuTypes"])), answer["source"], answer["asOf"])


def _cpu_type(raw: Mapping[str, Any]) -> CpuType:
    return CpuType(
        id=raw["id"],
        name=raw["name"],
        group=raw["group"],
        min_vcpu=int(raw["minVcpu"]),
        max_vcpu=int(raw["maxVcpu"]),
        ram_gb_per_vcpu=raw["ramGbPerVcpu"],
        secure_price_per_vcpu=raw.get("securePricePerVcpu"),
        serverless_price_per_vcpu=raw.get("serverlessPricePerVcpu"),
        stock=raw["stock"],
        data_centers=raw["dataCenters"],
    )


def _data_centers(answer: Mapping[str, Any]) -> DataCenters:
    return DataCenters(tuple(map(_data_center, answer["dataCenters"])), answer["source"], answer["asOf"])


def _data_center(raw: Mapping[str, Any]) -> DataCenter:
    return DataCenter(
        id=raw["id"],
        name=raw["name"],
        region=raw["region"],
        network_volume_types=tuple(raw["networkVolumeTypes"]),
        gpu_stock=raw["gpuStock"],
    )
