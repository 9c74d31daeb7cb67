"""Rules that the OpenAPI document does not state: over several members, stock and balance."""

from __future__ import annotations

import shlex
from typing import Any

from tests.emulator.emulator import Emulator
from tests.emulator.market import MAX_GPUS, MAX_VCPUS, MIN_VCPUS, Gpu, catalogue
from tests.emulator.problems import NO_CAPACITY, ApiError, invalid, not_found
from tests.emulator.state import Volume

MAX_VARIABLES = 50
"""Variables of one's own that a pod may have."""
MAX_HTTP_PORTS = 10


def check_container(body: dict[str, Any]) -> None:
    """Check the members that a create and an update share."""
    if len(body.get("env", {})) > MAX_VARIABLES:
        raise ApiError(400, f"env: at most {MAX_VARIABLES} variables, not {len(body['env'])}")
    for port in body.get("ports", []):
        check_port(port)
    if sum(port.endswith("/http") for port in body.get("ports", [])) > MAX_HTTP_PORTS:
        raise ApiError(400, f"ports: at most {MAX_HTTP_PORTS} http ports")
    try:
        shlex.split(body.get("args", ""))
    except ValueError as error:
        raise ApiError(400, f"args: {error}") from error


def check_port(port: str) -> None:
    """Refuse what is not `<number>/http` or `<number>/tcp`."""
    number, _, kind = port.partition("/")
    if kind not in ("http", "tcp") or not number.isdigit() or not 1 <= int(number) <= 65535:
        raise ApiError(400, f"ports: {port!r} is not of the form <port>/http or <port>/tcp")


def check_compute(body: dict[str, Any]) -> None:
    """Refuse anything but exactly one of `gpu` and `cpu`."""
    if ("gpu" in body) == ("cpu" in body):
        raise ApiError(400, "exactly one of gpu or cpu is required")
    if "cpu" not in body:
        return
    check_cpu("$.cpu", body["cpu"])
    if "persistent" in body.get("mounts", {}):
        raise ApiError(400, "mounts.persistent: a CPU pod has container disk and network volumes only")
    if body.get("cloud", "SECURE") != "SECURE":
        raise ApiError(400, "CPU pods are available in Secure Cloud only")


def check_cpu(where: str, cpu: dict[str, Any]) -> None:
    """Refuse a flavour that does not exist, and a number of vCPUs that it does not have."""
    if cpu["id"] not in catalogue().cpus:
        raise invalid(f"{where}.id: unknown CPU flavor {cpu['id']!r}")
    if not MIN_VCPUS <= cpu["vcpuCount"] <= MAX_VCPUS or int(cpu["vcpuCount"]).bit_count() != 1:
        raise ApiError(400, f"{where}.vcpuCount: a power of two from {MIN_VCPUS} to {MAX_VCPUS}")


def find_gpu(body: dict[str, Any]) -> Gpu:
    """Return the GPU type a create names; 422 for one that does not exist, 400 for more than a machine has."""
    gpu = catalogue().gpus.get(body["gpu"]["id"])
    if gpu is None:
        raise invalid(f"$.gpu.id: unknown GPU type {body['gpu']['id']!r}")
    if body["gpu"].get("count", 1) > MAX_GPUS:
        raise ApiError(400, f"gpu.count: at most {MAX_GPUS} of {gpu.id}")
    return gpu


def mounted_volume(emulator: Emulator, account: str, body: dict[str, Any]) -> Volume | None:
    """Return the network volume a create names; 404 when the account has none of that id."""
    mounts = body.get("mounts", {})
    if "persistent" in mounts and mounts.get("network"):
        raise ApiError(400, "mounts: persistent and network exclude each other")
    if not mounts.get("network"):
        return None
    volume = emulator.state.volumes.get(mounts["network"][0]["volumeId"])
    if volume is None or volume.account != account or volume.ended_at is not None:
        raise not_found("network volume")
    if body.get("cloud", "SECURE") != "SECURE":
        raise ApiError(400, "network volumes are available in Secure Cloud only")
    return volume


def wanted_data_centers(body: dict[str, Any], volume: Volume | None) -> list[str]:
    """Return the data centres a pod may go to, in the caller's order; empty means any."""
    wanted: list[str] = body.get("dataCenterIds", [])
    for index, name in enumerate(wanted):
        if name not in catalogue().data_centers:
            raise invalid(f"$.dataCenterIds[{index}]: unknown data center {name!r}")
    if volume is None:
        return wanted
    if wanted and volume.data_center not in wanted:
        raise ApiError(400, f"network volume {volume.id} is in {volume.data_center}, not in {', '.join(wanted)}")
    return [volume.data_center]


def place(emulator: Emulator, body: dict[str, Any], volume: Volume | None) -> tuple[str, float]:
    """Return the data centre a pod gets and its USD per hour; 400 without stock, 402 without money."""
    wanted = wanted_data_centers(body, volume)
    if "cpu" in body:
        cpu, vcpus = catalogue().cpus[body["cpu"]["id"]], body["cpu"]["vcpuCount"]
        price = cpu.perVcpu * vcpus
        data_center: str | None = emulator.market.place_cpu(cpu, vcpus, wanted)
    else:
        gpu, count, cloud = find_gpu(body), body["gpu"].get("count", 1), body.get("cloud", "SECURE")
        price = (emulator.market.price(gpu, cloud) or 0.0) * count
        data_center = emulator.market.place(gpu, count, cloud, wanted)
    # RunPod asks for credit for one hour of what is to be deployed.
    if emulator.conditions.balance < max(price, 0.01):
        raise ApiError(402, "insufficient balance: credit for one hour is required")
    if data_center is None:
        raise ApiError(400, NO_CAPACITY)
    return data_center, round(price, 6)
