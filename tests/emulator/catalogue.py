"""The catalogue as the API shows it: GPU and CPU types and data centres, with stock where it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.emulator import emulator
from tests.emulator.market import MAX_GPUS, MAX_VCPUS, MIN_VCPUS, Cpu, DataCenter, Gpu, Market, catalogue
from tests.emulator.problems import ApiError, not_found

CUDA_VERSIONS = ("12.4", "12.6", "12.8", "13.0")
LEVELS = ("NONE", "LOW", "MEDIUM", "HIGH")

routes = web.RouteTableDef()


@routes.get("/v2/catalog/gpus")
async def list_gpus(request: web.Request) -> web.Response:
    """List GPU types that the filters let through."""
    gpus = [gpu_view(request, gpu) for gpu in catalogue().gpus.values() if is_wanted(request, gpu)]
    return web.json_response({"gpus": gpus})


@routes.get("/v2/catalog/gpus/{id}")
async def get_gpu(request: web.Request) -> web.Response:
    """Show a GPU type."""
    gpu = catalogue().gpus.get(request.match_info["id"])
    if gpu is None:
        raise not_found("gpu type")
    return web.json_response(gpu_view(request, gpu))


def is_wanted(request: web.Request, gpu: Gpu) -> bool:
    """Say whether cloud and country filters let a GPU type through."""
    market = emulator.of(request).market
    cloud = request.query.get("cloud")
    offered = cloud is None or market.price(gpu, cloud) is not None
    return offered and any(gpu.is_in(place.id) for place in places(request))


def places(request: web.Request) -> list[DataCenter]:
    """Return the data centres in the countries a request asks for."""
    countries = names(request, "countryCodes")
    return [place for place in catalogue().data_centers.values() if not countries or place.country in countries]


def names(request: web.Request, parameter: str) -> list[str]:
    """Return a comma-separated query parameter."""
    return [name for name in request.query.get(parameter, "").split(",") if name]


def gpu_view(request: web.Request, gpu: Gpu) -> dict[str, Any]:
    """Return a GPU type in the document's form."""
    market = emulator.of(request).market
    secure, community = market.price(gpu, "SECURE"), market.price(gpu, "COMMUNITY")
    price = {"secure": secure or 0.0, "community": community or 0.0}
    return {
        "id": gpu.id,
        "name": gpu.name,
        "pool": gpu.pool,
        "manufacturer": "AMD" if gpu.id.startswith("AMD") else "NVIDIA",
        "memory": gpu.memory,
        "secure": secure is not None,
        "community": community is not None,
        "price": price | ({"serverless": gpu.serverless} if gpu.serverless else {}),
        "maxCount": {"secure": MAX_GPUS if secure else 0, "community": MAX_GPUS if community else 0},
        **availability(request, gpu),
    }


def availability(request: web.Request, gpu: Gpu) -> dict[str, Any]:
    """Return the members that come with include=AVAILABILITY, which needs `product`."""
    if "include" not in request.query:
        return {}
    if "product" not in request.query:
        raise ApiError(400, "include=AVAILABILITY requires product")
    market, count = emulator.of(request).market, int(request.query.get("count", "1"))
    cloud = request.query.get("cloud")
    clouds = [cloud] if cloud else ["SECURE", "COMMUNITY"]
    offered = count <= MAX_GPUS and any(market.price(gpu, name) is not None for name in clouds)
    there = {
        place.id: market.level(gpu, place.id, count) for place in places(request) if offered and gpu.is_in(place.id)
    }
    members = in_data_centers(there)
    members["cudaVersions"] = [{"version": v, "available": members["availability"] != "NONE"} for v in CUDA_VERSIONS]
    return members


def best(levels: Iterable[str]) -> str:
    """Return the highest of stock levels, NONE for none."""
    return max(levels, key=LEVELS.index, default="NONE")


@routes.get("/v2/catalog/cpus")
async def list_cpus(request: web.Request) -> web.Response:
    """List CPU flavours."""
    return web.json_response({"cpus": [cpu_view(request, cpu) for cpu in catalogue().cpus.values()]})


@routes.get("/v2/catalog/cpus/{id}")
async def get_cpu(request: web.Request) -> web.Response:
    """Show a CPU flavour."""
    cpu = catalogue().cpus.get(request.match_info["id"])
    if cpu is None:
        raise not_found("cpu flavor")
    return web.json_response(cpu_view(request, cpu))


def cpu_view(request: web.Request, cpu: Cpu) -> dict[str, Any]:
    """Return a CPU flavour in the document's form."""
    return {
        "id": cpu.id,
        "name": cpu.name,
        "group": cpu.group,
        "vcpu": {"min": MIN_VCPUS, "max": MAX_VCPUS},
        "ramGbPerVcpu": cpu.ramGbPerVcpu,
        "price": {"securePerVcpu": cpu.perVcpu, "serverlessPerVcpu": cpu.perVcpu},
        **cpu_availability(request, cpu),
    }


def cpu_availability(request: web.Request, cpu: Cpu) -> dict[str, Any]:
    """Return the members that come with include=AVAILABILITY, which needs `product`."""
    if "include" not in request.query:
        return {}
    if "product" not in request.query:
        raise ApiError(400, "include=AVAILABILITY requires product")
    market, vcpus = emulator.of(request).market, int(request.query.get("vcpuCount", MIN_VCPUS))
    there = {place.id: market.cpu_level(cpu, place.id, vcpus) for place in catalogue().data_centers.values()}
    return in_data_centers(there)


def in_data_centers(there: dict[str, str]) -> dict[str, Any]:
    """Return the best level, and the data centres that have some now; without any the list is not there at all."""
    having = {key: level for key, level in there.items() if level != "NONE"}
    listed = [{"id": key, "name": key, "availability": level} for key, level in having.items()]
    return {"availability": best(having.values())} | ({"dataCenters": listed} if listed else {})


@routes.get("/v2/catalog/datacenters")
async def list_data_centers(request: web.Request) -> web.Response:
    """List data centres that the filters let through."""
    views = [data_center_view(request, place) for place in catalogue().data_centers.values()]
    regions, kinds = names(request, "regions"), set(names(request, "networkVolumeTypes"))
    compliance, network = set(names(request, "compliance")), request.query.get("globalNetwork")
    chosen = [
        item
        for item in views
        if (not regions or item["region"] in regions)
        and kinds <= set(item["networkVolumeTypes"])
        and compliance <= set(item["compliance"])
        and network in (None, str(item["globalNetwork"]).lower())
    ]
    return web.json_response({"dataCenters": chosen})


@routes.get("/v2/catalog/datacenters/{id}")
async def get_data_center(request: web.Request) -> web.Response:
    """Show a data centre."""
    place = catalogue().data_centers.get(request.match_info["id"])
    if place is None:
        raise not_found("data center")
    return web.json_response(data_center_view(request, place))


def data_center_view(request: web.Request, place: DataCenter) -> dict[str, Any]:
    """Return a data centre in the document's form."""
    view: dict[str, Any] = {
        "id": place.id,
        "name": place.id,
        "region": place.region,
        "globalNetwork": place.networkVolumes,
        "networkVolumeTypes": place.volume_types,
        "compliance": [],
    }
    included = names(request, "include")
    if "GPU_AVAILABILITY" in included:
        view["gpuAvailability"] = gpu_availability(emulator.of(request).market, place)
    if "CPU_AVAILABILITY" in included:
        market = emulator.of(request).market
        view["cpuAvailability"] = [
            {"id": c.id, "name": c.name, "availability": market.cpu_level(c, place.id, MIN_VCPUS)}
            for c in catalogue().cpus.values()
        ]
    return view


def gpu_availability(market: Market, place: DataCenter) -> list[dict[str, str]]:
    """Return the stock of each GPU type that a data centre has and that is offered for pods."""
    offered = [gpu for gpu in catalogue().gpus.values() if gpu.is_in(place.id) and (gpu.secure or gpu.community)]
    return [{"id": gpu.id, "name": gpu.name, "availability": market.level(gpu, place.id)} for gpu in offered]
