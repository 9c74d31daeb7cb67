"""The dated price file, which is used without an API key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).with_name("data")


@dataclass(frozen=True)
class ListedGpu:
    """A GPU type in the price file; prices are USD per GPU and hour, None where not offered or not known."""

    id: str
    name: str
    memory_gb: int
    secure_price: float | None
    community_price: float | None


@dataclass(frozen=True)
class PriceFile:
    """The content of the file."""

    as_of: str
    """Date of the file, YYYY-MM-DD; the file contains the source of every price."""
    gpus: tuple[ListedGpu, ...]

    def gpu(self, gpu_id: str) -> ListedGpu | None:
        """Return one GPU type; None for an unknown id."""
        return next((gpu for gpu in self.gpus if gpu.id == gpu_id), None)


@cache
def price_file() -> PriceFile:
    """Return the GPU price file."""
    raw = _load("gpu-prices.json")
    return PriceFile(raw["asOf"], tuple(map(_listed, raw["gpus"])))


@dataclass(frozen=True)
class StoragePrices:
    """RunPod's storage prices, USD per GB and month."""

    container_disk: float
    """While the pod runs; a stopped pod has no container disk and pays nothing for it."""
    volume_tiers: tuple[tuple[int | None, float], ...]
    """Graduated tiers: (upper limit in GB or None, price of the part between the previous limit and this one)."""
    hours_per_month: int
    """Hours by which a monthly price is divided; RunPod does not document it."""
    as_of: date
    source: str


@cache
def storage_prices() -> StoragePrices:
    """Return the prices of disks and standard network volumes."""
    raw = _load("storage-prices.json")
    return StoragePrices(
        container_disk=raw["containerDisk"]["runningUsdPerGbMonth"],
        volume_tiers=tuple((t["uptoGb"], t["usdPerGbMonth"]) for t in raw["networkVolume"]["standardTiers"]),
        hours_per_month=raw["hoursPerMonth"],
        as_of=date.fromisoformat(raw["asOf"]),
        source=raw["source"]["url"],
    )


@cache
def known_data_centers() -> tuple[str, ...]:
    """Return the data centres whose storage RunPod documents; others may exist."""
    return tuple(_load("storage-prices.json")["dataCenters"])


def _listed(raw: dict[str, Any]) -> ListedGpu:
    return ListedGpu(raw["id"], raw["name"], raw["memoryGb"], raw["securePrice"], raw["communityPrice"])


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_DATA / name).read_text(encoding="utf-8"))
    return content
