"""Ranking of GPUs and data centres: pure rules over a catalogue that the caller provides.

The provider tries the ranked candidates in order when it creates a pod. This module ranks them and refuses at preview
what cannot work: a GPU that does not exist, a data centre without it, a price above the limit.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from components.errors import NotOfferedError, PlacementError
from components.runpod.prices import known_data_centers, price_file

SIMILAR_PRICE = 1.10
"""GPUs within 10 % of the best price are ranked by VRAM."""


class Tier(StrEnum):
    """Price bands, by the Secure Cloud price of one GPU and hour."""

    BUDGET = "Budget"
    MID = "Mid"
    HIGH = "High"
    PREMIUM = "Premium"


TIER_FLOORS: Mapping[Tier, float] = {Tier.PREMIUM: 2.99, Tier.HIGH: 0.95, Tier.MID: 0.20, Tier.BUDGET: 0.0}
"""USD per hour at which a band begins."""


@dataclass(frozen=True)
class Offer:
    """One GPU type as RunPod lists it."""

    gpu: str
    """The id that requests carry, for example `NVIDIA RTX A5000`."""
    vram_gb: int
    usd_per_hour: float | None
    """Price of one GPU in Secure Cloud, where network volumes are; None when it is not offered there."""
    stock: Mapping[str, str] = field(default_factory=dict)
    """Availability by data centre id; empty when unknown."""

    @property
    def tier(self) -> Tier | None:
        """The price band, None without a price."""
        if self.usd_per_hour is None:
            return None
        return next(tier for tier, floor in TIER_FLOORS.items() if self.usd_per_hour >= floor)


@dataclass(frozen=True)
class GpuCatalogue:
    """Available GPUs by data centre, and the source of this information."""

    offers: tuple[Offer, ...]
    data_centers: frozenset[str]
    """Ids of the data centres with network volumes; empty when unknown."""
    source: str
    """`api` for a live answer, `price-file` for the dated file."""
    as_of: date

    def find(self, gpu: str) -> Offer | None:
        """Return the offer of a GPU id."""
        return next((offer for offer in self.offers if offer.gpu == gpu), None)


@dataclass(frozen=True)
class Requirement:
    """Capabilities a GPU must have, instead of a list of names."""

    min_vram_gb: int
    max_usd_per_hour: float
    """Price of the whole pod: price of one GPU times their number."""
    tiers: frozenset[Tier] = frozenset()
    """Bands to choose from; empty means all."""
    exclude: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PlacementRequest:
    """The requested GPU: either ranked candidates or a requirement."""

    candidates: tuple[str, ...]
    requirement: Requirement | None
    count: int
    data_centers: tuple[str, ...]
    """Ranked; empty means any."""


@dataclass(frozen=True)
class GpuCandidate:
    """A GPU type that the provider may try, with the price of a pod."""

    gpu: str
    vram_gb: int
    usd_per_hour: float
    """Of the whole pod."""
    stock: str
    """Best availability among the requested data centres; `unknown` when the catalogue has none."""

    def __str__(self) -> str:
        return f"{self.gpu} ({self.vram_gb} GB, ${self.usd_per_hour:.2f}/h, stock {self.stock})"


def rank(wanted: PlacementRequest, catalogue: GpuCatalogue) -> tuple[GpuCandidate, ...]:
    """Return the candidates in the order in which they are tried.

    Raises:
        NotOfferedError: No GPU that satisfies the settings is offered now.
        PlacementError: A GPU or data centre does not exist, or has no network volumes.
    """
    _check_data_centers(wanted.data_centers, catalogue.data_centers)
    if wanted.requirement is None:
        offers = _named(wanted.candidates, catalogue)
    else:
        offers = _satisfying(wanted.requirement, wanted.count, catalogue.offers)
    placeable = [offer for offer in offers if _is_placeable(offer, wanted.data_centers)]
    if not placeable:
        names = ", ".join(offer.gpu for offer in offers)
        raise NotOfferedError(f"dataCenters: {', '.join(wanted.data_centers)} have none of {names}; {_where(offers)}")
    return tuple(_candidate(offer, wanted) for offer in placeable)


def requirement_property(requirement: Requirement) -> dict[str, Any]:
    """Return a requirement in the provider's form; equal requirements give equal results."""
    tiers = sorted(tier.value for tier in requirement.tiers)
    needed = {"minMemoryGb": requirement.min_vram_gb, "maxUsdPerHour": requirement.max_usd_per_hour}
    return {**needed, "tiers": tiers, "exclude": sorted(requirement.exclude)}


def _check_data_centers(wanted: Iterable[str], known: Collection[str]) -> None:
    # A data centre in the price file exists, even if today's catalogue does not list it.
    unknown = sorted(set(wanted) - set(known) - set(known_data_centers())) if known else []
    if unknown:
        raise PlacementError(
            f"dataCenters: not found, or without network volumes: {', '.join(unknown)}; "
            f"choose from {', '.join(sorted(known))}"
        )


def _named(candidates: Sequence[str], catalogue: GpuCatalogue) -> list[Offer]:
    """Return the offers of the named GPUs that have a price; raises NotOfferedError when none has one."""
    found = {gpu: _known(gpu, catalogue) for gpu in candidates}
    offers = [offer for offer in found.values() if offer is not None and offer.usd_per_hour is not None]
    if not offers:
        raise NotOfferedError(
            f"gpu.candidates: {', '.join(map(repr, found))} has no Secure Cloud price, so it cannot use a network "
            "volume; choose another GPU"
        )
    return offers


def _known(gpu: str, catalogue: GpuCatalogue) -> Offer | None:
    """Return the offer of a GPU, None when it is not offered now; raises PlacementError when it does not exist."""
    offer = catalogue.find(gpu)
    if offer is None and price_file().gpu(gpu) is None:
        ids = [known.gpu for known in catalogue.offers]
        close = difflib.get_close_matches(gpu, ids, n=3, cutoff=0.4) or sorted(ids)
        raise PlacementError(f"gpu.candidates: there is no GPU {gpu!r}; did you mean {', '.join(close)}?")
    return offer


def _satisfying(need: Requirement, count: int, offers: Iterable[Offer]) -> list[Offer]:
    fitting = [offer for offer in offers if _satisfies(need, count, offer)]
    if not fitting:
        raise NotOfferedError(
            f"gpu.require: no GPU has {need.min_vram_gb} GB or more for at most "
            f"${need.max_usd_per_hour:.2f}/h; raise maxPricePerHour or widen tiers"
        )
    best = min(_usd(offer) for offer in fitting)
    return sorted(fitting, key=lambda offer: _preference(offer, best))


def _satisfies(need: Requirement, count: int, offer: Offer) -> bool:
    return (
        offer.usd_per_hour is not None
        and offer.vram_gb >= need.min_vram_gb
        and offer.usd_per_hour * count <= need.max_usd_per_hour
        and (not need.tiers or offer.tier in need.tiers)
        and offer.gpu not in need.exclude
    )


def _preference(offer: Offer, best: float) -> tuple[bool, float, float, str]:
    """Return the sort key: GPUs close to the best price by memory, then the others by price."""
    similar = _usd(offer) <= best * SIMILAR_PRICE
    return (not similar, -offer.vram_gb if similar else _usd(offer), _usd(offer), offer.gpu)


def _is_placeable(offer: Offer, data_centers: Collection[str]) -> bool:
    """Return whether a requested data centre offers the GPU; stock of NONE may change before the creation."""
    return not offer.stock or not data_centers or any(center in offer.stock for center in data_centers)


def _where(offers: Iterable[Offer]) -> str:
    places = sorted({center for offer in offers for center in offer.stock})
    return f"they are in {', '.join(places)}"


def _candidate(offer: Offer, wanted: PlacementRequest) -> GpuCandidate:
    levels = [
        level for center, level in offer.stock.items() if not wanted.data_centers or center in wanted.data_centers
    ]
    order = ("HIGH", "MEDIUM", "LOW", "NONE")
    best = next((level for level in order if level in levels), "unknown")
    return GpuCandidate(offer.gpu, offer.vram_gb, round(_usd(offer) * wanted.count, 4), best)


def _usd(offer: Offer) -> float:
    """Return the price of an offer; raises PlacementError when it has none."""
    if offer.usd_per_hour is None:
        raise PlacementError(f"gpu: {offer.gpu!r} has no price")
    return offer.usd_per_hour
