"""A placement plan: GPUs and data centres in the order they are tried, and the rejected GPUs. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from components.placement import GpuCandidate, GpuCatalogue, Offer, PlacementRequest, Requirement, rank
from stacks.cli.errors import CliError

_LEVELS = ("HIGH", "MEDIUM", "LOW", "NONE")


@dataclass(frozen=True)
class DataCenterStock:
    """A data centre with a GPU type, and the stock there."""

    id: str
    stock: str


@dataclass(frozen=True)
class GpuChoice:
    """A GPU type to try, with its data centres, best first."""

    gpu: str
    vramGb: int  # noqa: N815  (the file's own spelling)
    usdPerHour: float  # noqa: N815
    dataCenters: tuple[DataCenterStock, ...]  # noqa: N815


@dataclass(frozen=True)
class Rejection:
    """A GPU type that will not be tried."""

    gpu: str
    reason: str


@dataclass(frozen=True)
class PlacementPlan:
    """The plan that `make placement` saves."""

    environment: str
    count: int
    source: str
    asOf: str  # noqa: N815
    candidates: tuple[GpuChoice, ...]
    refused: tuple[Rejection, ...]

    def data_centers(self) -> list[str]:
        """The plan's data centres without duplicates, those of the first candidate first."""
        return list(dict.fromkeys(center.id for choice in self.candidates for center in choice.dataCenters))

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return asdict(self)


def build_plan(environment: str, wanted: PlacementRequest, catalogue: GpuCatalogue) -> PlacementPlan:
    """Rank the available GPUs; raises PlacementError when none satisfies the settings."""
    candidates = rank(wanted, catalogue)
    ranked = {candidate.gpu for candidate in candidates}
    refused = (
        Rejection(offer.gpu, rejection_reason(offer, wanted)) for offer in catalogue.offers if offer.gpu not in ranked
    )
    choices = tuple(_choice(candidate, wanted, catalogue) for candidate in candidates)
    as_of = catalogue.as_of.isoformat()
    return PlacementPlan(environment, wanted.count, catalogue.source, as_of, choices, tuple(refused))


def rejection_reason(offer: Offer, wanted: PlacementRequest) -> str:
    """Return why a GPU type is not tried."""
    if offer.usd_per_hour is None:
        return "not in Secure Cloud, where network volumes are"
    if wanted.requirement is None and offer.gpu not in wanted.candidates:
        return "not among gpu.candidates"
    if wanted.requirement is not None and (reason := _falls_short(offer, wanted.requirement, wanted.count)):
        return reason
    return f"in none of {', '.join(wanted.data_centers)}"


def _falls_short(offer: Offer, need: Requirement, count: int) -> str:
    usd = (offer.usd_per_hour or 0.0) * count
    if offer.gpu in need.exclude:
        return "in gpu.require.exclude"
    if offer.vram_gb < need.min_vram_gb:
        return f"{offer.vram_gb} GB are less than {need.min_vram_gb} GB"
    if usd > need.max_usd_per_hour:
        return f"${usd:.2f}/h are more than ${need.max_usd_per_hour:.2f}/h"
    if need.tiers and offer.tier not in need.tiers:
        return f"tier {offer.tier} is not in gpu.require.tiers"
    return ""


def lines(plan: PlacementPlan) -> Iterator[str]:
    """Yield the plan as lines of text."""
    yield f"{plan.environment}: {plan.count} GPU(s), prices and stock of {plan.asOf} ({plan.source})"
    for number, choice in enumerate(plan.candidates, start=1):
        places = _grouped((center.stock, center.id) for center in choice.dataCenters)
        where = "; ".join(f"{stock} in {', '.join(ids)}" for stock, ids in places.items()) or "data centres not known"
        yield f"  {number}. {choice.gpu} ({choice.vramGb} GB), ${choice.usdPerHour:.2f}/h, {where}"
    for reason, gpus in _grouped((refusal.reason, refusal.gpu) for refusal in plan.refused).items():
        yield f"  not tried, {reason}: {', '.join(gpus)}"


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def override(content: Mapping[str, Any], saved: Any, environment: str) -> dict[str, Any]:  # noqa: ANN401  (JSON)
    """Return the stack file's content with candidates and data centres of a saved plan.

    Raises:
        CliError: it is not a plan, or a plan for another environment.
    """
    try:
        gpus = [str(choice["gpu"]) for choice in saved["candidates"]]
        centers = dict.fromkeys(str(center["id"]) for choice in saved["candidates"] for center in choice["dataCenters"])
        found, count = str(saved["environment"]), int(saved["count"])
    except (KeyError, TypeError, ValueError) as error:
        raise CliError("this is not a placement plan; `make placement FILE=...` writes one") from error
    if found != environment or not gpus:
        raise CliError(
            f"this placement plan is for {found} and names {len(gpus)} GPU type(s); make one for {environment}"
        )
    config = {**(content.get("config") or {})}
    config |= {"comfyui-runpod:gpu": {"candidates": gpus, "count": count}}
    config |= {"comfyui-runpod:dataCenters": list(centers)} if centers else {}
    return {**content, "config": config}


def _choice(candidate: GpuCandidate, wanted: PlacementRequest, catalogue: GpuCatalogue) -> GpuChoice:
    offer = catalogue.find(candidate.gpu)
    stock = offer.stock if offer else {}
    places = _centers(stock, wanted.data_centers, catalogue.data_centers)
    return GpuChoice(candidate.gpu, candidate.vram_gb, candidate.usd_per_hour, tuple(places))


def _centers(stock: Mapping[str, str], wanted: tuple[str, ...], with_volumes: Iterable[str]) -> list[DataCenterStock]:
    """Return data centres in the requested order, or by stock; those without stock only when none has stock."""
    if wanted:
        found = [DataCenterStock(center, stock[center]) for center in wanted if center in stock]
    else:
        known = set(with_volumes)
        found = [DataCenterStock(center, level) for center, level in sorted(stock.items()) if center in known]
        found.sort(key=lambda center: _LEVELS.index(center.stock) if center.stock in _LEVELS else len(_LEVELS))
    return [center for center in found if center.stock != "NONE"] or found
