"""The provider's functions: price and stock, and the program's word that a resource is in the state."""

from __future__ import annotations

import datetime as dt
from typing import Any

from components.runpod.api.errors import RunPodError
from components.runpod.api.models import DataCenter, GpuType
from components.runpod.plugin.kind import Operation
from components.runpod.plugin.values import Values
from components.runpod.prices import ListedGpu, known_data_centers, price_file


def invoke(operation: Operation, token: str, args: Values) -> Values:
    """Answer a function; without an API key prices come from the price file, and the answer says so."""
    if token == "runpod:index:getGpuTypes":  # noqa: S105 - a function's name
        return _gpu_types(operation, args)
    if token == "runpod:index:getDataCenters":  # noqa: S105 - a function's name
        return _data_centers(operation)
    if token == "runpod:index:acknowledge":  # noqa: S105 - a function's name
        operation.intents.seen_in_state(str(args.get("resourceId", "")))
        return {}
    raise RunPodError(f"the runpod provider has no function {token}")


def _gpu_types(operation: Operation, args: Values) -> Values:
    if not operation.settings.api_key:
        listed = price_file()
        return _answer("gpuTypes", [_from_file(gpu) for gpu in listed.gpus], "price-file", listed.as_of)
    count, cloud = int(args.get("gpuCount") or 1), str(args.get("cloudType") or "")
    live = operation.client().list_gpu_types(count=count, cloud=cloud)
    return _answer("gpuTypes", [_from_api(gpu) for gpu in live], "api", _today())


def _data_centers(operation: Operation) -> Values:
    if not operation.settings.api_key:
        known = [_center(DataCenter(id=center, name=center, region="")) for center in known_data_centers()]
        return _answer("dataCenters", known, "price-file", price_file().as_of)
    live = operation.client().list_data_centers()
    return _answer("dataCenters", [_center(center) for center in live], "api", _today())


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
        # A cloud that does not offer the GPU may still carry a stale price, and 0 stands for none.
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


def _today() -> str:
    return dt.datetime.now(dt.UTC).date().isoformat()
