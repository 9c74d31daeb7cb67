"""GPU and CPU types, data centres, prices and stock, as data that tests may change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.emulator.state import Pod, State

COMPUTING = ("PROVISIONING", "STARTING", "RUNNING")
"""Statuses in which a pod holds its GPUs."""
HOURS_PER_MONTH = 730
"""RunPod names no divisor for its monthly storage rates; this is the usual one."""
MAX_GPUS = 8
MIN_VCPUS, MAX_VCPUS = 2, 32


@dataclass(frozen=True)
class Gpu:
    """A GPU type; prices in USD per GPU and hour, None where it is not offered in that cloud."""

    id: str
    name: str
    memory: int
    secure: float | None
    community: float | None
    pool: str | None
    serverless: float | None = None
    dataCenters: tuple[str, ...] = ()  # noqa: N815 - as the data file and the API spell it
    """Where it is; empty means everywhere."""

    def is_in(self, data_center: str) -> bool:
        """Say whether that data centre has this GPU at all."""
        return not self.dataCenters or data_center in self.dataCenters


@dataclass(frozen=True)
class Cpu:
    """A CPU flavour; the price in USD per vCPU and hour."""

    id: str
    name: str
    group: str
    ramGbPerVcpu: float  # noqa: N815 - as the data file and the API spell it
    perVcpu: float  # noqa: N815 - as the data file spells it


@dataclass(frozen=True)
class DataCenter:
    """A data centre."""

    id: str
    region: str
    country: str
    networkVolumes: bool  # noqa: N815 - as the data file spells it
    highPerformance: bool = False  # noqa: N815 - likewise
    """Whether the faster kind of network volume is there too."""

    @property
    def volume_types(self) -> list[str]:
        """Kinds of network volumes it has."""
        fast = ["HIGH_PERFORMANCE"] if self.highPerformance else []
        return ["STANDARD", *fast] if self.networkVolumes else []


@dataclass(frozen=True)
class Catalogue:
    """The data file beside this module."""

    gpus: dict[str, Gpu]
    cpus: dict[str, Cpu]
    data_centers: dict[str, DataCenter]


@cache
def catalogue() -> Catalogue:
    """Return the catalogue as it is kept beside this file."""
    raw = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
    return Catalogue(
        gpus={item["id"]: Gpu(**item | {"dataCenters": tuple(item.get("dataCenters", ()))}) for item in raw["gpus"]},
        cpus={item["id"]: Cpu(**item) for item in raw["cpus"]},
        data_centers={item["id"]: DataCenter(**item) for item in raw["dataCenters"]},
    )


class Market:
    """Prices and stock now: the catalogue, what was set from outside, and what the pods hold."""

    def __init__(self, state: State) -> None:
        self._state = state

    def set_stock(self, gpu: str, data_center: str, available: int | None) -> None:
        """Set how many GPUs are free for pods, those held by pods included; `*` stands for all; None is plenty."""
        self._state.market.setdefault("stock", {})[f"{gpu}@{data_center}"] = available

    def set_price(self, gpu: str, cloud: str, price: float | None) -> None:
        """Set what a GPU costs in a cloud from now on; running pods keep their price. None: not offered."""
        self._state.market.setdefault("prices", {})[f"{gpu}@{cloud}"] = price

    def price(self, gpu: Gpu, cloud: str) -> float | None:
        """Return USD per GPU and hour, None where the cloud does not offer it."""
        listed = gpu.secure if cloud == "SECURE" else gpu.community
        price: float | None = self._state.market.get("prices", {}).get(f"{gpu.id}@{cloud}", listed)
        return price

    def free(self, gpu: Gpu, data_center: str) -> int | None:
        """Return how many GPUs a data centre still has free; None is plenty."""
        if not gpu.is_in(data_center):
            return 0
        stock: dict[str, int | None] = self._state.market.get("stock", {})
        keys = [f"{gpu.id}@{data_center}", f"{gpu.id}@*", f"*@{data_center}", "*@*"]
        known = [stock[key] for key in keys if key in stock]
        if not known or known[0] is None:
            return None
        return max(0, known[0] - self._held(gpu.id, data_center))

    def free_vcpus(self, cpu: Cpu, data_center: str) -> int | None:
        """Return how many vCPUs of a flavour a data centre still has free; None is plenty."""
        stock: dict[str, int | None] = self._state.market.get("stock", {})
        keys = [f"{cpu.id}@{data_center}", f"{cpu.id}@*"]
        known = [stock[key] for key in keys if key in stock]
        if not known or known[0] is None:
            return None
        pods = (pod.cpu for pod in self._state.living_pods() if pod.data_center == data_center and holds(pod))
        held = (part for part in pods if part and part["id"] == cpu.id)
        return max(0, known[0] - sum(int(part["vcpuCount"]) for part in held))

    def cpu_level(self, cpu: Cpu, data_center: str, vcpus: int) -> str:
        """Return a flavour's stock in the API's four words."""
        return in_words(self.free_vcpus(cpu, data_center), vcpus)

    def place_cpu(self, cpu: Cpu, vcpus: int, wanted: list[str]) -> str | None:
        """Return the first wanted data centre that has the vCPUs free, None when none has."""
        candidates = wanted or sorted(catalogue().data_centers)
        return next((name for name in candidates if self.cpu_level(cpu, name, vcpus) != "NONE"), None)

    def level(self, gpu: Gpu, data_center: str, count: int = 1) -> str:
        """Return the stock in the API's four words."""
        return in_words(self.free(gpu, data_center), count)

    def place(self, gpu: Gpu, count: int, cloud: str, wanted: list[str]) -> str | None:
        """Return the first wanted data centre that has the GPUs free, None when none has."""
        if self.price(gpu, cloud) is None:
            return None
        candidates = wanted or list(catalogue().data_centers)
        fits = (name for name in candidates if self.free(gpu, name) is None or (self.free(gpu, name) or 0) >= count)
        return next(fits, None)

    def _held(self, gpu_id: str, data_center: str) -> int:
        pods = (pod for pod in self._state.living_pods() if pod.gpu and pod.data_center == data_center)
        return sum(pod.gpu["count"] for pod in pods if pod.gpu and pod.gpu["id"] == gpu_id and holds(pod))


def in_words(free: int | None, count: int) -> str:
    """Return how often `count` fits into what is free, in the API's four words."""
    if free is None:
        return "HIGH"
    sizes = free // count
    return "NONE" if sizes == 0 else "LOW" if sizes <= 2 else "MEDIUM" if sizes <= 8 else "HIGH"


def holds(pod: Pod) -> bool:
    """Say whether a pod holds compute now."""
    return pod.status in COMPUTING


def disk_price(pod: Pod) -> float:
    """Return USD per hour for a pod's disks: the container disk only while it runs, a volume disk double when not."""
    persistent: dict[str, Any] = pod.mounts.get("persistent", {})
    rate = 0.1 if holds(pod) else 0.2
    container = 0.1 * pod.disk if holds(pod) else 0.0
    return (container + rate * int(persistent.get("size", 0))) / HOURS_PER_MONTH


def volume_price(size: int, kind: str) -> float:
    """Return USD per hour for a network volume of `size` GB: 0.07 a month up to 1000 GB, 0.05 beyond.

    RunPod publishes no price for HIGH_PERFORMANCE; twice the standard one is assumed.
    """
    standard = (min(size, 1000) * 0.07 + max(0, size - 1000) * 0.05) / HOURS_PER_MONTH
    return standard * (2 if kind == "HIGH_PERFORMANCE" else 1)
