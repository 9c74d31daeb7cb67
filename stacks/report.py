"""Lines of a preview in addition to the resources: placement, cost, and warnings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date

from components import cost
from components.errors import PlacementError
from components.placement import GpuCandidate, GpuCatalogue, rank
from provisioning.contract import ProvisionPlan
from stacks import plan
from stacks.sections import Replace, UnknownHashes
from stacks.settings import Settings


def lines(
    settings: Settings, candidates: tuple[GpuCandidate, ...], catalogue: GpuCatalogue, volume_center: str = ""
) -> Iterator[str]:
    """Yield the plan: ranked candidates, then the price of the first one.

    An existing volume determines the data centre, so only candidates in that data centre are listed.
    """
    places = ", ".join(settings.data_centers) or "any data centre with stock"
    if volume_center:
        places = f"{volume_center}, where the volume is"
        try:
            candidates = rank(
                dataclasses.replace(plan.placement_request(settings), data_centers=(volume_center,)), catalogue
            )
        except PlacementError as error:
            yield f"Placement in {places}: no new pod is available there: {error}"
            return
    yield f"Placement in {places}, prices from {_source(catalogue)}:"
    for checkout, candidate in enumerate(candidates, start=1):
        yield f"  {checkout}. {candidate}"
    likely = plan.price(settings, candidates[0].usd_per_hour)
    spans = ", ".join(f"{span} ${usd:.2f}" for span, usd in likely.projection().items())
    yield (
        f"Estimated cost with the first GPU: ${likely.running:.4f}/h ({spans}); "
        f"while stopped, the volume costs ${likely.stopped:.4f}/h"
    )


def paused(settings: Settings) -> str:
    """Return the line about a paused environment."""
    return f"Paused: no pod; the volume alone costs ${plan.price(settings, None).running:.4f}/h"


def warnings(settings: Settings, provision: ProvisionPlan, catalogue: GpuCatalogue, today: date) -> Iterator[str]:
    """Yield warnings to read before confirming an update."""
    for model in provision.models:
        if not model.url:
            yield f"models: {model.name} has no url and will be missing; set it where {settings.file} lists its models"
        elif not model.sha256 and settings.unknown_hashes is UnknownHashes.WARN:
            yield f"models: {model.name}: hash not known; record it with `make lock ENV={settings.environment}`"
    for node in settings.nodes:
        if not node.repository:
            yield f"nodes: {node.name} has no repository and will be missing; set it and its commit in {settings.file}"
    if settings.pod.replace is Replace.AFTER:
        yield "pod.replace: after: when the pod is replaced, the old and the new one are both billed for some minutes"
    if catalogue.source != "api":
        yield f"Prices and stock come from {_source(catalogue)}, not from RunPod: no API key is configured"
    if cost.is_stale(catalogue.as_of, today) or cost.is_stale(cost.STORAGE.as_of, today):
        yield f"Prices are old: GPUs {catalogue.as_of}, storage {cost.STORAGE.as_of} ({cost.STORAGE.source})"


def _source(catalogue: GpuCatalogue) -> str:
    return f"RunPod's API, {catalogue.as_of}" if catalogue.source == "api" else f"the price file of {catalogue.as_of}"
