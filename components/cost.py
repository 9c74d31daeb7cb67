"""The cost of a plan: a pure function from prices and sizes to USD per hour.

RunPod bills GPUs and container disks by the second and network volumes by the hour. Storage prices are monthly; the
price file also contains the number of hours in a month.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date

from components.runpod.prices import StoragePrices, storage_prices

HORIZONS: Mapping[str, int] = {"24h": 24, "7d": 7 * 24, "30d": 30 * 24}
"""Hours behind each key of `costProjection`."""

STALE_AFTER_DAYS = 90
"""GPU prices changed about four times a year in 2025 and 2026; older price files cause a warning."""


STORAGE = storage_prices()
HOURS_PER_MONTH = STORAGE.hours_per_month


@dataclass(frozen=True)
class Plan:
    """The rented resources."""

    gpu_usd_per_hour: float
    """The whole pod's GPUs and CPUs, before storage."""
    container_disk_gb: int
    volume_gb: int


@dataclass(frozen=True)
class Cost:
    """A plan's price, USD per hour by part."""

    pod: float
    container_disk: float
    volume: float

    @property
    def running(self) -> float:
        """Price of an hour with the pod running."""
        return self.pod + self.container_disk + self.volume

    @property
    def stopped(self) -> float:
        """Price of an hour with the pod stopped or deleted: the volume is still billed."""
        return self.volume

    def projection(self) -> dict[str, float]:
        """Return the cost of a day, a week and thirty days of running, rounded to cents."""
        return {key: round(self.running * hours, 2) for key, hours in HORIZONS.items()}

    def breakdown(self) -> dict[str, float]:
        """Return the parts per hour and the cost while stopped, rounded to a hundredth of a cent."""
        parts = {"gpuPod": self.pod, "containerDisk": self.container_disk, "networkVolume": self.volume}
        totals = {"runningPerHour": self.running, "stoppedPerHour": self.stopped}
        per_month = {"stopped30d": self.stopped * HORIZONS["30d"]}
        return {key: round(value, 4) for key, value in (parts | totals | per_month).items()}


def price(plan: Plan, storage: StoragePrices = STORAGE) -> Cost:
    """Return a plan's cost per hour; raises ValueError on a negative size or price."""
    if min(asdict(plan).values()) < 0:
        raise ValueError(f"a plan must not have negative parts: {plan}")
    return Cost(
        pod=plan.gpu_usd_per_hour,
        container_disk=plan.container_disk_gb * storage.container_disk / HOURS_PER_MONTH,
        volume=volume_usd_per_month(plan.volume_gb, storage) / HOURS_PER_MONTH,
    )


def volume_usd_per_month(size_gb: int, storage: StoragePrices = STORAGE) -> float:
    """Return a network volume's monthly price, each tier charged for its own part."""
    total, floor = 0.0, 0
    for bound, usd_per_gb in storage.volume_tiers:
        upper = size_gb if bound is None else min(size_gb, bound)
        total += max(0, upper - floor) * usd_per_gb
        floor = max(floor, upper)
    return total


def is_stale(as_of: date, today: date) -> bool:
    """Return whether prices of that day are old enough for a warning."""
    return (today - as_of).days > STALE_AFTER_DAYS


def difference(planned: float, running: float | None) -> str:
    """Return a phrase that compares a planned hourly price with the running one; None means nothing runs."""
    if running is None:
        return f"${planned:.4f}/h; nothing runs now"
    if round(planned - running, 4) == 0:
        return f"${planned:.4f}/h; unchanged"
    return f"${planned:.4f}/h; {planned - running:+.4f} against ${running:.4f}/h now"
