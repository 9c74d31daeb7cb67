"""What a plan costs: one pure function from prices and sizes to dollars per hour.

All amounts are USD. RunPod bills GPUs and container disks by the second and network volumes by the hour; storage prices
are monthly, and what a month has of hours stands beside them in the price file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date

from components.runpod.prices import StoragePrices, storage_prices

HORIZONS: Mapping[str, int] = {"24h": 24, "7d": 7 * 24, "30d": 30 * 24}
"""Hours behind each key of `costProjection`."""

STALE_AFTER_DAYS = 90
"""GPU prices moved about four times a year in 2025 and 2026; older ones are said to be old."""


STORAGE = storage_prices()
HOURS_PER_MONTH = STORAGE.hours_per_month


@dataclass(frozen=True)
class Plan:
    """What is rented."""

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
        """Price of an hour with the pod stopped or gone: the volume bills on."""
        return self.volume

    def projection(self) -> dict[str, float]:
        """Return what a day, a week and thirty days of running cost, in cents precise."""
        return {key: round(self.running * hours, 2) for key, hours in HORIZONS.items()}

    def breakdown(self) -> dict[str, float]:
        """Return the parts per hour, and what is paid while stopped, to a hundredth of a cent."""
        parts = {"gpuPod": self.pod, "containerDisk": self.container_disk, "networkVolume": self.volume}
        totals = {"runningPerHour": self.running, "stoppedPerHour": self.stopped}
        per_month = {"stopped30d": self.stopped * HORIZONS["30d"]}
        return {key: round(value, 4) for key, value in (parts | totals | per_month).items()}


def price(plan: Plan, storage: StoragePrices = STORAGE) -> Cost:
    """Return what a plan costs per hour; raises ValueError on a negative size or price."""
    if min(asdict(plan).values()) < 0:
        raise ValueError(f"a plan has no negative parts: {plan}")
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
    """Tell whether prices of that day are too old to be trusted without a warning."""
    return (today - as_of).days > STALE_AFTER_DAYS


def difference(planned: float, running: float | None) -> str:
    """Return one phrase that sets a planned hourly price against what runs now; None means nothing runs."""
    if running is None:
        return f"${planned:.4f}/h; nothing runs now"
    if round(planned - running, 4) == 0:
        return f"${planned:.4f}/h; unchanged"
    return f"${planned:.4f}/h; {planned - running:+.4f} against ${running:.4f}/h now"
