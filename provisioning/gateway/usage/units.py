"""What quotas count, in whole numbers alone: rounding errors have no place among money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from provisioning.contract.gateway_options import Unit


class Amounts(NamedTuple):
    """So much of each measure."""

    jobs: int = 0
    gpu_ms: int = 0
    """Milliseconds that ComfyUI worked."""
    images: int = 0
    """Pictures among the results; previews are none."""
    bytes: int = 0
    """Of uploaded files."""
    usd_micros: int = 0
    """Millionths of a dollar: GPU time by the pod's price."""


NOTHING = Amounts()


@dataclass(frozen=True)
class Measure:
    """How a unit that people speak of is counted."""

    name: str
    """A field of Amounts."""
    scale: int
    """How many of it are one unit."""


MEASURES: Mapping[Unit, Measure] = {
    Unit.JOBS: Measure("jobs", 1),
    Unit.GPU_SECONDS: Measure("gpu_ms", 1000),
    Unit.IMAGES: Measure("images", 1),
    Unit.BYTES: Measure("bytes", 1),
    Unit.USD: Measure("usd_micros", 1_000_000),
}

EXACT = frozenset({"jobs", "bytes"})
"""Known before the work begins. Of the others a job takes what it takes: it is let in while any of them is left."""


def of_unit(amounts: Amounts, unit: Unit) -> int:
    """Return how much of a unit's measure there is."""
    return int(getattr(amounts, MEASURES[unit].name))


def to_display(unit: Unit, amount: int) -> float | int:
    """Return an amount in its unit as answers show it."""
    scale = MEASURES[unit].scale
    return amount if scale == 1 else amount / scale
