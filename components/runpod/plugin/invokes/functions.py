"""The provider's functions: catalogue, pod status, billing, and acknowledgement of saved resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from components.runpod.api.client import BILLED
from components.runpod.api.errors import RunPodError
from components.runpod.api.models import BillingRecord, Pod
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from components.runpod.plugin.invokes import catalogue
from components.runpod.plugin.pods import pod_state

_BUCKETS = ("hour", "day", "week", "month", "year")
_FILTERS = {"pods": "podId", "serverless": "serverlessId", "network-volumes": "networkVolumeId"}
"""Kinds whose bill can be filtered by one resource, with the query parameter."""


def invoke(operation: ProviderOperation, token: str, args: Values) -> Values:
    """Call a function; raises RunPodError when it does not exist."""
    if token not in FUNCTIONS:
        raise RunPodError(f"the runpod provider has no function {token}")
    return FUNCTIONS[token](operation, args)


def _pod(operation: ProviderOperation, args: Values) -> Values:
    return _seen(operation.client().get_pod(_text(args, "podId")), operation.settings)


def _seen(live: Pod, settings: ProviderSettings) -> Values:
    """Return a pod without its environment, which holds secrets."""
    direct, network = live.ssh.direct, live.mounts.network
    return {
        "podId": live.id,
        "name": live.name,
        "status": live.status,
        "imageName": live.image,
        "cloudType": live.cloud,
        "gpu": live.gpu.id if live.gpu else "",
        "gpuCount": live.gpus_got,
        "cpuFlavorId": live.cpu.id if live.cpu else "",
        "vcpuCount": live.cpu.vcpu_count if live.cpu else 0,
        "dataCenter": live.data_center_id or "",
        "networkVolumeId": network[0].volume_id if network else "",
        "containerDiskInGb": live.disk,
        "ports": ",".join(live.ports),
        "costPerHr": live.cost,
        "sshHost": direct.host if direct else "",
        "sshPort": direct.port if direct else 0,
        "urls": pod_state.urls(live, settings),
        "cudaVersion": live.cuda_version or "",
        "createdAt": live.created_at or "",
        "startedAt": live.started_at or "",
    }


def _billing(operation: ProviderOperation, args: Values) -> Values:
    of = str(args.get("resource") or "")
    if of not in BILLED:
        raise RunPodError(f"resource: {of!r} is not one of {', '.join(filter(None, BILLED))}, or empty for all")
    records = operation.client().bill(of, _query(of, args))
    return {"records": [_record(record) for record in records], "total": sum(record.total for record in records)}


def _query(of: str, args: Values) -> dict[str, str]:
    bucket = str(args.get("bucketSize") or "day")
    if bucket not in _BUCKETS:
        raise RunPodError(f"bucketSize: {bucket!r} is not one of {', '.join(_BUCKETS)}")
    query = {"bucketSize": bucket}
    query |= {name: str(args[name]) for name in ("startTime", "endTime", "lastN") if args.get(name)}
    if args.get("resourceId"):
        if of not in _FILTERS:
            raise RunPodError(f"resourceId: only the bill of {', '.join(_FILTERS)} can be filtered by id")
        query[_FILTERS[of]] = str(args["resourceId"])
    return query


def _record(record: BillingRecord) -> dict[str, Any]:
    return {
        "startTime": record.start,
        "endTime": record.end,
        "resourceId": record.resource,
        "total": record.total,
        "amounts": record.amounts,
    }


def _acknowledge(operation: ProviderOperation, args: Values) -> Values:
    operation.intents.seen_in_state(str(args.get("resourceId", "")))
    return {}


def _text(args: Values, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise RunPodError(f"{name} is required")
    return value


FUNCTIONS: Mapping[str, Callable[[ProviderOperation, Values], Values]] = {
    "runpod:index:getGpuTypes": catalogue.gpu_types,
    "runpod:index:getCpuTypes": catalogue.cpu_types,
    "runpod:index:getDataCenters": catalogue.data_centers,
    "runpod:index:getPod": _pod,
    "runpod:index:getBilling": _billing,
    "runpod:index:acknowledge": _acknowledge,
}
