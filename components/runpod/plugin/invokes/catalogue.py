"""Functions for the catalogue: price and stock, live or from the dated price file."""

from __future__ import annotations

import datetime as dt
from typing import Any

from components.runpod.api.models import CpuType, DataCenter, GpuType
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.prices import ListedGpu, known_data_centers, price_file


def gpu_types(operation: ProviderOperation, args: Values) -> Values:
    """Return every GPU type with price and, where an API key is configured, stock."""
    if not operation.settings.api_key:
        listed = price_file()
        return _answer("gpuTypes", [_from_file(gpu) for gpu in listed.gpus], "price-file", listed.as_of)
    count, cloud = int(args.get("gpuCount") or 1), str(args.get("cloudType") or "")
    live = operation.client().list_gpu_types(count=count, cloud=cloud)
    return _answer("gpuTypes", [_from_api(gpu) for gpu in live], "api", _today())


def data_centers(operation: ProviderOperation, args: Values) -> Values:  # noqa: ARG001 - it has none
    """Return every data centre with its storage tiers and, where an API key is configured, GPU stock."""
    if not operation.settings.api_key:
        known = [_center(DataCenter(id=center, name=center, region="")) for center in known_data_centers()]
        return _answer("dataCenters", known, "price-file", price_file().as_of)
    live = operation.client().list_data_centers()
    return _answer("dataCenters", [_center(center) for center in live], "api", _today())


def cpu_types(operation: ProviderOperation, args: Values) -> Values:
    """Return every CPU flavour; none without an API key, because the price file has none."""
    if not operation.settings.api_key:
        return _answer("cpuTypes", [], "price-file", price_file().as_of)
    live = operation.client().list_cpu_types(vcpu_count=int(args.get("vcpuCount") or 2))
    return _answer("cpuTypes", [_cpu(cpu) for cpu in live], "api", _today())


def _answer(member: str, entries: list[dict[str, Any]], source: str, as_of: str) -> Values:
    return {member: entries, "source": source, "asOf": as_of}


def _from_file(gpu: ListedGpu) -> dict[str, Any]:
    return {
        "id": gpu.id,
        "name": gpu.name,
        "memoryGb": gpu.memory_gb,
        "securePrice": gpu.secure_price,
        "communityPrice": gpu.community_price,
        "stock": "",
        "dataCenters": {},
    }


def _from_api(gpu: GpuType) -> dict[str, Any]:
    return {
        "id": gpu.id,
        "name": gpu.name,
        "memoryGb": gpu.memory,
        # A cloud that does not offer the GPU may still have a stale price, and 0 means none.
        "securePrice": (gpu.price.secure or None) if gpu.secure else None,
        "communityPrice": (gpu.price.community or None) if gpu.community else None,
        "stock": gpu.availability or "",
        "dataCenters": {entry.id: entry.availability for entry in gpu.data_centers},
    }


def _center(center: DataCenter) -> dict[str, Any]:
    return {
        "id": center.id,
        "name": center.name,
        "region": center.region,
        "networkVolumeTypes": list(center.network_volume_types),
        "gpuStock": {entry.id: entry.availability for entry in center.gpu_availability},
    }


def _cpu(cpu: CpuType) -> dict[str, Any]:
    return {
        "id": cpu.id,
        "name": cpu.name,
        "group": cpu.group,
        "minVcpu": cpu.vcpu.min,
        "maxVcpu": cpu.vcpu.max,
        "ramGbPerVcpu": cpu.ram_gb_per_vcpu,
        "securePricePerVcpu": cpu.price.secure or None,
        "serverlessPricePerVcpu": cpu.price.serverless or None,
        "stock": cpu.availability or "",
        "dataCenters": {entry.id: entry.availability for entry in cpu.data_centers},
    }


def _today() -> str:
    return dt.datetime.now(dt.UTC).date().isoformat()
