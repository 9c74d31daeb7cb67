from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from components.errors import PlacementError
from components.placement import GpuCatalogue, Offer, PlacementRequest, Requirement, Tier, rank

A5000 = Offer("NVIDIA RTX A5000", 24, 0.27, {"EU-RO-1": "LOW", "US-KS-2": "HIGH"})
A40 = Offer("NVIDIA A40", 48, 0.29, {"US-KS-2": "NONE"})
H100 = Offer("NVIDIA H100 PCIe", 80, 2.39, {"US-KS-2": "LOW"})
SHOWN = Offer("NVIDIA A30", 24, None)
CATALOGUE = GpuCatalogue((A5000, A40, H100, SHOWN), frozenset({"EU-RO-1", "US-KS-2"}), "api", date(2026, 11, 22))
NAMED = PlacementRequest((A5000.gpu, A40.gpu), None, 1, ())
NEED = Requirement(min_vram_gb=24, max_usd_per_hour=1.0)


def test_named_candidates_keep_their_order_and_carry_price_and_stock() -> None:
    first, second = rank(replace(NAMED, count=2), CATALOGUE)
    assert (first.gpu, first.usd_per_hour, first.stock) == (A5000.gpu, 0.54, "HIGH")
    assert (second.gpu, second.stock) == (A40.gpu, "NONE")


def test_stock_counts_where_the_pod_may_be() -> None:
    (only,) = rank(replace(NAMED, data_centers=("EU-RO-1",)), CATALOGUE)
    assert (only.gpu, only.stock) == (A5000.gpu, "LOW")


def test_gpus_within_ten_percent_of_the_best_price_are_ranked_by_memory() -> None:
    assert [c.gpu for c in rank(PlacementRequest((), NEED, 1, ()), CATALOGUE)] == [A40.gpu, A5000.gpu]


@pytest.mark.parametrize(
    ("need", "gpus"),
    [
        (replace(NEED, min_vram_gb=80, max_usd_per_hour=3.0), [H100.gpu]),
        (replace(NEED, exclude=frozenset({A40.gpu})), [A5000.gpu]),
        (replace(NEED, max_usd_per_hour=5.0, tiers=frozenset({Tier.HIGH})), [H100.gpu]),
    ],
)
def test_a_requirement_selects_gpus(need: Requirement, gpus: list[str]) -> None:
    assert [c.gpu for c in rank(PlacementRequest((), need, 1, ()), CATALOGUE)] == gpus


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (replace(NAMED, candidates=("RTX A5000",)), "there is no GPU 'RTX A5000'; did you mean NVIDIA RTX A5000"),
        (replace(NAMED, candidates=(SHOWN.gpu,)), "no Secure Cloud price"),
        (
            replace(NAMED, data_centers=("EU-XX-9",)),
            "not found, or without network volumes: EU-XX-9; choose from EU-RO-1",
        ),
        (
            replace(NAMED, candidates=(A40.gpu,), data_centers=("EU-RO-1",)),
            "have none of NVIDIA A40; they are in US-KS-2",
        ),
        (PlacementRequest((), replace(NEED, min_vram_gb=200), 1, ()), "no GPU has 200 GB or more for at most $1.00/h"),
        (PlacementRequest((), NEED, 8, ()), "no GPU has 24 GB"),
    ],
)
def test_an_impossible_placement_is_refused(wanted: PlacementRequest, words: str) -> None:
    with pytest.raises(PlacementError) as error:
        rank(wanted, CATALOGUE)
    assert words in str(error.value)


def test_a_catalogue_without_data_centres_refuses_none() -> None:
    blind = GpuCatalogue((replace(A5000, stock={}),), frozenset(), "price-file", date(2026, 11, 22))
    (only,) = rank(PlacementRequest((A5000.gpu,), None, 1, ("EU-XX-9",)), blind)
    assert only.stock == "unknown"


@pytest.mark.parametrize(
    ("usd", "tier"), [(0.19, "Budget"), (0.20, "Mid"), (0.95, "High"), (2.99, "Premium"), (None, None)]
)
def test_tiers_are_price_bands(usd: float | None, tier: str | None) -> None:
    assert Offer("x", 24, usd).tier == tier
