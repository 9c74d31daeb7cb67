"""The units of quotas and their measures, which are integers, so that sums of money have no rounding errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from provisioning.contract.gateway_options import Unit


class Amounts(NamedTuple):
    """An amount of each measure."""

    jobs: int = 0
    gpu_ms: int = 0
    """Milliseconds of execution in ComfyUI."""
    images: int = 0
    """Images among the outputs, without previews."""
    bytes: int = 0
    """Bytes of uploaded files."""
    usd_micros: int = 0
    """Millionths of a dollar: GPU time by the pod's price."""


NOTHING = Amounts()


@dataclass(frozen=True)
class Measure:
    """The measure in which a unit is counted."""

    name: str
    """A field of Amounts."""
    scale: int
    """How many of the measure make one unit."""


MEASURES: Mapping[Unit, Measure] = {
    Unit.JOBS: Measure("jobs", 1),
    Unit.GPU_SECONDS: Measure("gpu_ms", 1000),
    Unit.IMAGES: Measure("images", 1),
    Unit.BYTES: Measure("bytes", 1),
    Unit.USD: Measure("usd_micros", 1_000_000),
}

EXACT = frozenset({"jobs", "bytes"})
"""Measures known before the work begins. Others are known at its end: a job is accepted while any of them is left."""


def of_unit(amounts: Amounts, unit: Unit) -> int:
    """Return the amount of a unit's measure."""
    return int(getattr(amounts, MEASURES[unit].name))


def to_display(unit: Unit, amount: int) -> float | int:
    """Convert an amount from its measure to its unit, for responses."""
    scale = MEASURES[unit].scale
    return amount if scale == 1 else amount / scale
