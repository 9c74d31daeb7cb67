"""The running pod as resource properties, and its differences from the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from components.runpod.api.models import Pod
from components.runpod.marker import ENV_NAME, Marker, split_name
from components.runpod.plugin.base import gpu_requirement
from components.runpod.plugin.base.property_codec import Values, differs, unknown
from components.runpod.plugin.base.resource import Changes
from components.runpod.plugin.base.settings import ProviderSettings
from components.runpod.plugin.base.validation import split_ports
from components.runpod.plugin.lifecycle import duplicates
from components.runpod.plugin.pods import gpu_watch, pod_env
from components.runpod.plugin.pods.pod_spec import STOPPED

IN_PLACE = (
    "name",
    "imageName",
    "dockerArgs",
    "containerDiskInGb",
    "volumeMountPath",
    "containerRegistryAuthId",
    "gpuRequirement",
)
"""Inputs that can change on a running pod and are compared directly; `ports` and `env` have their own comparison.

A changed requirement changes nothing at RunPod; it is an update so that the state contains the current one.
"""

RESETTING = frozenset({"imageName", "dockerArgs", "containerDiskInGb", "env", "volumeMountPath", "ports", "status"})
"""Changes that restart the container, with new public ports."""


NOTHING_BESIDE: Mapping[str, Any] = {gpu_watch.OUTPUT: "", duplicates.OUTPUT: []}
"""Outputs that need more than one answer about the pod."""


def observe(
    live: Pod, inputs: Values, marker: Marker, settings: ProviderSettings, beside: Mapping[str, Any] = NOTHING_BESIDE
) -> Values:
    """Return all properties; inputs that cannot be observed (a ranking, a limit) are returned as declared."""
    seen = {**_observed_inputs(live, inputs, marker), **_outputs(live, marker, settings)}
    return {**inputs, **seen, **NOTHING_BESIDE, **beside}


def declared_by(live: Pod, inputs: Values, marker: Marker) -> Values:
    """Return the inputs that would declare the running pod, so that a refresh shows every drift."""
    return {**inputs, **_observed_inputs(live, inputs, marker)}


def diff(state: Values, inputs: Values) -> Changes:
    """Compare the running pod with the inputs."""
    updates = [name for name in IN_PLACE if differs(state, inputs, name)]
    if pod_env.changed(state, inputs):
        updates.append("env")
    if _ports(state) != _ports(inputs):
        updates.append("ports")
    if duplicates.noted(state):
        updates.append(duplicates.OUTPUT)
    replaces = [name for name in _REPLACING if _REPLACING[name](state, inputs)]
    if state.get("status") != "RUNNING":
        stopped = state.get("status") in STOPPED
        (replaces if stopped and inputs.get("whenStopped") == "replace" else updates).append("status")
    return Changes(tuple(updates), tuple(replaces))


def _observed_inputs(live: Pod, inputs: Values, marker: Marker) -> Values:
    observed: Values = {
        "name": _base_name(live, marker),
        "imageName": live.image,
        "computeType": "CPU" if live.cpu else "GPU",
        "gpuCount": _gpu_count(live, inputs),
        "containerRegistryAuthId": live.registry or "",
        "cloudType": live.cloud,
        "networkVolumeId": live.mounts.network[0].volume_id if live.mounts.network else "",
        "containerDiskInGb": live.disk,
        "ports": _ports_text(live, inputs),
        "env": _env(live, inputs, marker),
        "dockerArgs": live.args,
    }
    if live.cpu:
        observed["vcpuCount"] = live.cpu.vcpu_count
    if live.mounts.network:
        observed["volumeMountPath"] = live.mounts.network[0].path
    return observed


def _outputs(live: Pod, marker: Marker, settings: ProviderSettings) -> Values:
    direct = live.ssh.direct
    return {
        "podId": live.id,
        "gpu": live.gpu.id if live.gpu else "",
        "cpuFlavorId": live.cpu.id if live.cpu else "",
        "dataCenter": live.data_center_id or "",
        "costPerHr": live.cost,
        "sshHost": direct.host if direct else "",
        "sshPort": direct.port if direct else 0,
        "urls": urls(live, settings),
        "status": live.status,
        "physicalName": live.name,
        "cudaVersion": live.cuda_version or "",
        "marker": str(marker),
    }


def urls(live: Pod, settings: ProviderSettings) -> dict[str, str]:
    """Return the public address of each published HTTP port that has one now."""
    mapped = live.runtime.ports if live.runtime and live.runtime.ports else ()
    public = {port.private: port.public for port in mapped if port.type == "http"}
    private = [int(port.split("/")[0]) for port in live.ports if port.endswith("/http")]
    addresses = {str(port): settings.url(live.id, port, public.get(port)) for port in private}
    return {port: address for port, address in addresses.items() if address}


def _gpu_count(live: Pod, inputs: Values) -> Any:  # noqa: ANN401 - a number, or not known yet
    if live.status != "RUNNING" or live.gpu is None:
        return inputs.get("gpuCount", live.gpu.count if live.gpu else 0)  # A stopped pod has no GPUs.
    return live.gpu.count


def _base_name(live: Pod, marker: Marker) -> str:
    base, carried = split_name(live.name)
    return base if carried == marker else live.name


def _ports_text(live: Pod, inputs: Values) -> str:
    declared = inputs.get("ports", "")
    same = not unknown(declared) and sorted(split_ports(declared)) == sorted(live.ports)
    return declared if same else ",".join(live.ports)


def _env(live: Pod, inputs: Values, marker: Marker) -> dict[str, str]:
    env = pod_env.declared_env(live.env, inputs.get("env") or {})
    if live.env.get(ENV_NAME) != str(marker):
        # A lost marker is drift too; without it a renamed pod could not be recognised.
        env[ENV_NAME] = live.env.get(ENV_NAME, "")
    return env


def _ports(properties: Mapping[str, Any]) -> list[str]:
    text = properties.get("ports") or ""
    return [text] if unknown(text) else sorted(split_ports(text))


def _left_out(state: Values, inputs: Values, output: str, choices: str) -> bool:
    """Return whether the current value is no longer among the choices; their order does not matter."""
    allowed: list[str] = inputs.get(choices) or []
    return not unknown(allowed) and bool(allowed) and bool(state.get(output)) and state[output] not in allowed


def _host_too_old(state: Values, inputs: Values) -> bool:
    floor, present = inputs.get("minCudaVersion"), state.get("cudaVersion")
    return bool(floor and present) and not unknown(floor) and _version(str(present)) < _version(str(floor))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


_REPLACING: Mapping[str, Any] = {
    "gpuTypeIdList": gpu_requirement.excludes,
    "cpuFlavorIdList": lambda state, inputs: _left_out(state, inputs, "cpuFlavorId", "cpuFlavorIdList"),
    "dataCenterIds": lambda state, inputs: _left_out(state, inputs, "dataCenter", "dataCenterIds"),
    "allowedCudaVersions": lambda state, inputs: _left_out(state, inputs, "cudaVersion", "allowedCudaVersions"),
    "minCudaVersion": _host_too_old,
    **{
        name: partial(differs, name=name)
        for name in ("computeType", "gpuCount", "vcpuCount", "cloudType", "networkVolumeId", "guard")
    },
}
