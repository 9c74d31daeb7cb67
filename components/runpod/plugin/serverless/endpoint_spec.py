"""Conversion between an endpoint's inputs and the API's members."""

from __future__ import annotations

from typing import Any

from components.runpod.api.models_serverless import Endpoint
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values, unknown
from components.runpod.plugin.base.resource import Failure
from components.runpod.plugin.serverless import container

FLASHBOOT = ("OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT")

RULES: dict[str, validation.Rule] = {
    **container.RULES,
    "name": validation.name,
    "guard": validation.text,
    "imageName": validation.any_text,
    "templateId": validation.any_text,
    "type": validation.one_of("QUEUE", "LOAD_BALANCER"),
    "computeType": validation.one_of("GPU", "CPU"),
    "gpuIds": validation.any_text,
    "gpuCount": validation.integer(1, 16, "GPUs"),
    "allowedCudaVersions": lambda value: validation.any_text(value) or validation.cuda_versions(split(value)),
    "minCudaVersion": validation.cuda_version,
    "vcpuCount": validation.power_of_two(2, 256, "vCPUs"),
    "workersMin": validation.integer(0, 1000, "workers"),
    "workersMax": validation.integer(0, 1000, "workers"),
    "idleTimeout": validation.integer(1, 3600, "seconds"),
    "scalerType": validation.one_of("QUEUE_DELAY", "REQUEST_COUNT"),
    "scalerValue": validation.integer(1, 10_000, "seconds or requests"),
    "executionTimeoutMs": validation.integer(0, 86_400_000, "milliseconds"),
    "flashBootType": validation.one_of(*FLASHBOOT),
    "locations": lambda value: validation.any_text(value) or validation.data_centers(split(value)),
    "networkVolumeId": validation.any_text,
    "drainTimeoutSeconds": validation.integer(0, 7200, "seconds"),
}


def split(text: str) -> list[str]:
    """Return the parts of a comma-separated text."""
    return [part.strip() for part in text.split(",") if part.strip()]


def contradictions(inputs: Values) -> list[Failure]:
    """Return the faults of combinations of inputs."""
    gpu = inputs["computeType"] == "GPU"
    low, high = inputs["workersMin"], inputs["workersMax"]
    known_bounds = not unknown([low, high])
    wrong = {
        "imageName": not inputs["imageName"] and not inputs["templateId"],
        "gpuIds": gpu and not inputs["gpuIds"],
        "cpuFlavorIdList": not gpu and not inputs["cpuFlavorIdList"],
        "workersMin": known_bounds and low > high,
        "scalerType": inputs["type"] == "LOAD_BALANCER" and inputs["scalerType"] == "QUEUE_DELAY",
        "minCudaVersion": bool(inputs["minCudaVersion"] and inputs["allowedCudaVersions"]),
    }
    return [(name, f"{name}: {_REASONS[name]}") for name, is_wrong in wrong.items() if is_wrong]


_REASONS = {
    "imageName": "an image or a template is required",
    "gpuIds": "at least one GPU pool is required, such as ADA_24",
    "cpuFlavorIdList": "at least one CPU flavour is required",
    "workersMin": "is above workersMax",
    "scalerType": "a load-balancing endpoint requires REQUEST_COUNT",
    "minCudaVersion": "excludes allowedCudaVersions",
}


def canonical(inputs: Values) -> Values:
    """Return the inputs with comma-separated lists in one form."""
    lists = ("gpuIds", "locations", "allowedCudaVersions")
    joined = {name: ",".join(split(inputs[name])) for name in lists if not unknown(inputs[name])}
    return {**container.canonical(inputs), **joined}


def silent(inputs: Values) -> set[str]:
    """Return the inputs that are not compared, because RunPod or a template determines them."""
    inert = {"drainTimeoutSeconds"}
    if _has_no_idle_time(inputs):
        inert.add("idleTimeout")
    gpu_only = {"gpuIds", "excludedGpuTypeIds", "gpuCount", "allowedCudaVersions", "minCudaVersion"}
    inert |= {"cpuFlavorIdList", "vcpuCount"} if inputs["computeType"] == "GPU" else gpu_only
    return inert | _from_template(inputs)


def own_settings(inputs: Values, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the container settings that the program gives in addition to its template."""
    given = {_MEMBERS[name] for name in _MEMBERS if name not in _from_template(inputs)}
    return {member: value for member, value in settings.items() if member in given}


_MEMBERS = {
    "imageName": "image",
    "dockerArgs": "args",
    "containerDiskInGb": "disk",
    "ports": "ports",
    "env": "env",
    "containerRegistryAuthId": "registry",
}


def _from_template(inputs: Values) -> set[str]:
    """Return the container settings from the template: empty ones, and `env`, which is merged."""
    if not inputs["templateId"]:
        return set()
    defaults = {"imageName": "", **container.DEFAULTS}
    return {name for name in _MEMBERS if inputs[name] == defaults[name]}


def compute(inputs: Values) -> dict[str, Any]:
    """Return the compute members of a create request."""
    if inputs["computeType"] == "CPU":
        return {"cpu": _cpus(inputs)}
    gpu = _pools(inputs)
    if inputs["allowedCudaVersions"]:
        gpu["allowedCudaVersions"] = split(inputs["allowedCudaVersions"])
    elif inputs["minCudaVersion"]:
        gpu["minCudaVersion"] = inputs["minCudaVersion"]
    return {"gpu": gpu}


def members(inputs: Values) -> dict[str, Any]:
    """Return the members that create and update share."""
    bounds = {"min": inputs["workersMin"], "max": inputs["workersMax"]}
    if not _has_no_idle_time(inputs):
        bounds["idleTimeout"] = inputs["idleTimeout"]
    return {
        "workers": bounds,
        "scaling": _scaling(inputs),
        "dataCenterIds": split(inputs["locations"]),
        "networkVolumes": [inputs["networkVolumeId"]] if inputs["networkVolumeId"] else [],
        "timeout": inputs["executionTimeoutMs"],
        "flashboot": inputs["flashBootType"],
    }


def changed(live: Endpoint, inputs: Values) -> dict[str, Any]:
    """Return the members of an update that differ from the endpoint."""
    seen = {
        "workers": {"min": live.workers.min, "max": live.workers.max, "idleTimeout": live.workers.idle_timeout},
        "scaling": _seen_scaling(live),
        "dataCenterIds": list(live.data_centers),
        "networkVolumes": list(live.volumes),
        "timeout": live.timeout,
        "flashboot": live.flashboot,
    }
    wanted = members(inputs)
    wanted["workers"] = {"idleTimeout": None, **wanted["workers"]}
    body = {member: value for member, value in wanted.items() if value != seen[member]}
    if "workers" in body:
        body["workers"] = {name: value for name, value in body["workers"].items() if value is not None}
    return {**body, **_changed_compute(live, inputs)}


def _changed_compute(live: Endpoint, inputs: Values) -> dict[str, Any]:
    if inputs["computeType"] == "CPU":
        seen = [{"id": cpu.id, "vcpuCount": cpu.vcpu_count} for cpu in live.cpu]
        return {} if seen == _cpus(inputs) else {"cpu": _cpus(inputs)}
    if live.gpu is None:
        return {}
    gpu: dict[str, Any] = {}
    if (set(live.gpu.pools), set(live.gpu.excluded), live.gpu.count) != (
        set(split(inputs["gpuIds"])),
        set(inputs["excludedGpuTypeIds"]),
        inputs["gpuCount"],
    ):
        # Pools and exclusions are one selection: without the exclusions the request would clear them.
        gpu |= {"excludedTypes": [], **_pools(inputs)}
    cuda = (sorted(split(inputs["allowedCudaVersions"])), inputs["minCudaVersion"])
    if (sorted(live.gpu.allowed_cuda), live.gpu.min_cuda or "") != cuda:
        gpu |= {"allowedCudaVersions": split(inputs["allowedCudaVersions"]), "minCudaVersion": inputs["minCudaVersion"]}
    return {"gpu": gpu} if gpu else {}


def observe(live: Endpoint, inputs: Values) -> Values:
    """Return the observed settings; lists are returned in the declared order, because order has no meaning."""
    value = live.scaling.queue_delay if live.scaling.type == "QUEUE_DELAY" else live.scaling.request_count
    return {
        "computeType": "CPU" if live.cpu else "GPU",
        **_observed_compute(live, inputs),
        "workersMin": live.workers.min,
        "workersMax": live.workers.max,
        "idleTimeout": live.workers.idle_timeout or inputs.get("idleTimeout", 10),
        "scalerType": live.scaling.type,
        "scalerValue": value if value is None or value % 1 else int(value),
        "executionTimeoutMs": live.timeout,
        "flashBootType": live.flashboot,
        "locations": ",".join(live.data_centers),
        "networkVolumeId": ",".join(live.volumes),
    }


def _observed_compute(live: Endpoint, inputs: Values) -> Values:
    if live.cpu:
        return {"cpuFlavorIdList": [cpu.id for cpu in live.cpu], "vcpuCount": live.cpu[0].vcpu_count}
    if live.gpu is None:
        return {}
    excluded = inputs.get("excludedGpuTypeIds")
    same = isinstance(excluded, list) and set(excluded) == set(live.gpu.excluded)
    return {
        "gpuIds": _in_order(inputs.get("gpuIds", ""), live.gpu.pools),
        "excludedGpuTypeIds": excluded if same else list(live.gpu.excluded),
        "gpuCount": live.gpu.count,
        "allowedCudaVersions": _in_order(inputs.get("allowedCudaVersions", ""), live.gpu.allowed_cuda),
        "minCudaVersion": live.gpu.min_cuda or "",
    }


def _in_order(declared: str, seen: tuple[str, ...]) -> str:
    return declared if sorted(split(declared)) == sorted(seen) else ",".join(seen)


def _pools(inputs: Values) -> dict[str, Any]:
    gpu: dict[str, Any] = {"pools": split(inputs["gpuIds"]), "count": inputs["gpuCount"]}
    return gpu | ({"excludedTypes": inputs["excludedGpuTypeIds"]} if inputs["excludedGpuTypeIds"] else {})


def _cpus(inputs: Values) -> list[dict[str, Any]]:
    return [{"id": flavor, "vcpuCount": inputs["vcpuCount"]} for flavor in inputs["cpuFlavorIdList"]]


def _scaling(inputs: Values) -> dict[str, Any]:
    member = "queueDelay" if inputs["scalerType"] == "QUEUE_DELAY" else "requestCount"
    return {"type": inputs["scalerType"], member: inputs["scalerValue"]}


def _seen_scaling(live: Endpoint) -> dict[str, Any]:
    scaling = live.scaling
    if scaling.type == "QUEUE_DELAY":
        return {"type": scaling.type, "queueDelay": scaling.queue_delay}
    return {"type": scaling.type, "requestCount": scaling.request_count}


def _has_no_idle_time(inputs: Values) -> bool:
    return bool(inputs["type"] == "QUEUE" and inputs["scalerType"] == "REQUEST_COUNT")
