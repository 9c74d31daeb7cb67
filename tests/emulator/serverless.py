"""Serverless endpoints: list, create, show, update, delete, and their workers."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.emulator import emulator, pod_rules, workers
from tests.emulator.clock import iso
from tests.emulator.emulator import account_of, listed, one_of
from tests.emulator.identifiers import new_id
from tests.emulator.market import catalogue
from tests.emulator.presets import Endpoint, Worker
from tests.emulator.problems import ApiError, invalid, not_found
from tests.emulator.templates import CONTAINER, applied, check_registry

HOST = "api.runpod.ai"
JOBS = ("run", "runsync", "status/{job_id}", "stream/{job_id}", "cancel/{job_id}", "retry/{job_id}", "purge-queue")
MEMBERS = ("run", "runSync", "status", "stream", "cancel", "retry", "purgeQueue")
COUNTED = ("running", "idle", "initializing", "throttled", "unhealthy")
ROLLING = (*CONTAINER, "gpu", "cpu")
"""A change of one of these makes a new release, which workers take up as they are replaced."""
START_SECONDS = 2.0
"""Until a worker is ready, by the emulator's clock."""
KEPT_AS = {"dataCenterIds": "data_centers", "networkVolumes": "volumes"}

routes = web.RouteTableDef()


def view(endpoint: Endpoint) -> dict[str, Any]:
    """Return the endpoint in the document's form."""
    owned = ("id", "name", "type", *CONTAINER, "scaling", "timeout", "flashboot")
    compute = {"gpu": endpoint.gpu} if endpoint.gpu else {"cpu": [cpu_view(cpu) for cpu in endpoint.cpu]}
    return {name: getattr(endpoint, name) for name in owned} | {
        **compute,
        "workers": worker_bounds(endpoint),
        "requestUrls": urls(endpoint),
        "dataCenterIds": endpoint.data_centers,
        "networkVolumes": endpoint.volumes,
        "createdAt": iso(endpoint.created_at),
    }


def cpu_view(cpu: dict[str, Any]) -> dict[str, Any]:
    """Return a CPU configuration with its memory."""
    return cpu | {"memory": int(catalogue().cpus[cpu["id"]].ramGbPerVcpu * cpu["vcpuCount"])}


def worker_bounds(endpoint: Endpoint) -> dict[str, int]:
    """Return the bounds of the number of workers; some endpoints have no idle time."""
    bounds = {"min": endpoint.minimum, "max": endpoint.maximum}
    return bounds if has_no_idle_time(endpoint) else bounds | {"idleTimeout": endpoint.idle_timeout}


def has_no_idle_time(endpoint: Endpoint) -> bool:
    """Say whether the endpoint is of the kind to which idle time does not apply."""
    return endpoint.type == "QUEUE" and endpoint.scaling["type"] == "REQUEST_COUNT"


def urls(endpoint: Endpoint) -> dict[str, str]:
    """Return where requests go."""
    if endpoint.type == "LOAD_BALANCER":
        base = f"https://{endpoint.id}.{HOST}"
        return {"base": base, "health": f"{base}/ping"}
    base = f"https://{HOST}/v2/{endpoint.id}"
    return {member: f"{base}/{path}" for member, path in zip(MEMBERS, JOBS, strict=True)} | {"health": f"{base}/health"}


@routes.get("/v2/serverless")
async def list_endpoints(request: web.Request) -> web.Response:
    """List the account's endpoints."""
    endpoints = emulator.of(request).state.endpoints.values()
    return web.json_response({"endpoints": [view(endpoint) for endpoint in listed(request, endpoints)]})


@routes.post("/v2/serverless")
async def create_endpoint(request: web.Request) -> web.Response:
    """Make an endpoint; its lower bound of workers starts at once."""
    emu, body = emulator.of(request), applied(request, await request.json(), serverless=True)
    if ("gpu" in body) == ("cpu" in body):
        raise ApiError(400, "exactly one of gpu or cpu is required")
    check(request, body)
    if emu.conditions.balance <= 0:
        raise ApiError(402, "insufficient balance")
    kept = {"name": body["name"], "type": body["type"], "scaling": body["scaling"]}
    endpoint = Endpoint(id=new_id(), account=account_of(request), created_at=emu.clock.now(), **kept)
    take(endpoint, body)
    workers.adjust(endpoint, emu.clock, emu.conditions)
    emu.state.endpoints[endpoint.id] = endpoint
    emu.state.save()
    return web.json_response(view(endpoint), status=201)


@routes.get("/v2/serverless/{id}")
async def get_endpoint(request: web.Request) -> web.Response:
    """Show an endpoint."""
    return web.json_response(view(of(request)))


@routes.patch("/v2/serverless/{id}")
async def update_endpoint(request: web.Request) -> web.Response:
    """Change an endpoint; its workers follow the new bounds, and the new release as they are replaced."""
    emu, endpoint, body = emulator.of(request), of(request), applied(request, await request.json(), serverless=True)
    if ("gpu" in body and endpoint.cpu) or ("cpu" in body and endpoint.gpu):
        raise ApiError(400, "the compute of an endpoint cannot change between gpu and cpu")
    check(request, body, endpoint)
    if any(name in body for name in ROLLING):
        endpoint.version += 1
    take(endpoint, body)
    workers.adjust(endpoint, emu.clock, emu.conditions)
    emu.state.save()
    return web.json_response(view(endpoint))


@routes.delete("/v2/serverless/{id}")
async def delete_endpoint(request: web.Request) -> web.Response:
    """Delete an endpoint; what its workers do is lost."""
    emu, endpoint = emulator.of(request), of(request)
    endpoint.ended_at = emu.clock.now()
    workers.end_all(endpoint, endpoint.ended_at)
    emu.state.save()
    return web.Response(status=204)


@routes.get("/v2/serverless/{id}/workers")
async def list_workers(request: web.Request) -> web.Response:
    """List the workers that exist."""
    endpoint, now = of(request), emulator.of(request).clock.now()
    shown = [worker_view(endpoint, worker, now) for worker in workers.living(endpoint, now)]
    counts = {name: sum(worker["status"] == name.upper() for worker in shown) for name in COUNTED}
    summary = counts | {"total": len(shown)}
    return web.json_response({"workers": shown, "summary": summary, "endpointVersion": endpoint.version})


def worker_view(endpoint: Endpoint, worker: Worker, now: float) -> dict[str, Any]:
    """Return a worker in the document's form."""
    is_up = now - worker.started_at >= START_SECONDS
    return {
        "id": worker.id,
        "status": "INITIALIZING" if not is_up else "RUNNING" if worker.busy else "IDLE",
        "isStale": worker.version != endpoint.version,
        "version": worker.version,
        "gpuCount": worker.gpu_count,
        "image": worker.image,
        "uptimeSeconds": int(now - worker.started_at) if is_up else None,
        "gpuTypeId": worker.gpu or None,
        "dataCenterId": worker.data_center,
        "startedAt": iso(worker.started_at),
    }


def of(request: web.Request) -> Endpoint:
    """Return the endpoint a request names."""
    return one_of(request, emulator.of(request).state.endpoints, "endpoint")


def take(endpoint: Endpoint, body: dict[str, Any]) -> None:
    """Set the members that a request has."""
    for name in ("name", *CONTAINER, "cpu", "scaling", "timeout", "flashboot", *KEPT_AS):
        if name in body:
            setattr(endpoint, KEPT_AS.get(name, name), body[name])
    if "gpu" in body:
        endpoint.gpu = merged_gpu(endpoint.gpu, body["gpu"])
    bounds = body.get("workers", {})
    endpoint.minimum, endpoint.maximum = bounds.get("min", endpoint.minimum), bounds.get("max", endpoint.maximum)
    endpoint.idle_timeout = bounds.get("idleTimeout", endpoint.idle_timeout)


def merged_gpu(present: dict[str, Any] | None, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return a GPU selection after a change: pools and exclusions are one selection, replaced together."""
    blank = {"count": 1, "excludedTypes": [], "allowedCudaVersions": [], "minCudaVersion": None}
    cleared: dict[str, Any] = {"excludedTypes": []} if "pools" in wanted else {}
    merged = blank | (present or {}) | cleared | wanted
    return merged | {"minCudaVersion": merged["minCudaVersion"] or None}


def check(request: web.Request, body: dict[str, Any], present: Endpoint | None = None) -> None:
    """Refuse what the document's prose forbids beyond its schema."""
    pod_rules.check_container(body)
    check_registry(request, body)
    if "gpu" in body:
        check_gpu(merged_gpu(present.gpu if present else None, body["gpu"]))
    for index, cpu in enumerate(body.get("cpu", [])):
        pod_rules.check_cpu(f"$.cpu[{index}]", cpu)
    for name in body.get("dataCenterIds", []):
        if name not in catalogue().data_centers:
            raise invalid(f"$.dataCenterIds: unknown data center {name!r}")
    check_scaling(body, present)
    volumes = emulator.of(request).state.living_volumes(account_of(request))
    if set(body.get("networkVolumes", [])) - {volume.id for volume in volumes}:
        raise not_found("network volume")


def check_gpu(gpu: dict[str, Any]) -> None:
    """Refuse pools that do not exist, exclusions outside of them, and two CUDA constraints at once."""
    types = {kind.id: kind.pool for kind in catalogue().gpus.values() if kind.pool}
    if unknown := set(gpu["pools"]) - set(types.values()):
        raise ApiError(400, f"gpu.pools: unknown {', '.join(sorted(unknown))}")
    if strange := [name for name in gpu["excludedTypes"] if types.get(name.strip()) not in gpu["pools"]]:
        raise ApiError(400, f"gpu.excludedTypes: {strange[0]!r} is in none of the pools")
    if not {kind for kind, pool in types.items() if pool in gpu["pools"]} - set(gpu["excludedTypes"]):
        raise ApiError(400, "gpu.excludedTypes: nothing is left of the pools")
    if gpu["allowedCudaVersions"] and gpu["minCudaVersion"]:
        raise ApiError(400, "gpu: allowedCudaVersions and minCudaVersion exclude each other")


def check_scaling(body: dict[str, Any], present: Endpoint | None) -> None:
    """Refuse a scaler that the kind of endpoint does not have, and bounds that are the wrong way round."""
    kind = present.type if present else body["type"]
    scaler = (body.get("scaling") or (present.scaling if present else {}))["type"]
    if kind == "LOAD_BALANCER" and scaler != "REQUEST_COUNT":
        raise ApiError(400, "scaling: a load-balancing endpoint scales on REQUEST_COUNT")
    bounds = body.get("workers", {})
    if kind == "QUEUE" and scaler == "REQUEST_COUNT" and "idleTimeout" in bounds:
        raise ApiError(400, "workers.idleTimeout: does not apply to a queue that scales on REQUEST_COUNT")
    low, high = (present.minimum, present.maximum) if present else (0, 3)
    if bounds.get("min", low) > bounds.get("max", high):
        raise ApiError(400, "workers: min is above max")
