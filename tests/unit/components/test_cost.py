from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from components import cost
from components.cost import Plan, price, volume_usd_per_month

PRICES = Path(__file__).parents[3] / "components" / "runpod" / "data" / "storage-prices.json"


@pytest.mark.parametrize(("size_gb", "usd"), [(0, 0.0), (100, 7.0), (200, 14.0), (1000, 70.0), (2000, 120.0)])
def test_a_volume_is_priced_by_graduated_tiers(size_gb: int, usd: float) -> None:
    assert volume_usd_per_month(size_gb) == pytest.approx(usd)


def test_a_container_disk_of_fifty_gigabytes_costs_five_dollars_a_month() -> None:
    assert price(Plan(0, 50, 0)).container_disk * 730 == pytest.approx(5.0)


def test_a_running_hour_is_pod_and_disk_and_volume() -> None:
    known = price(Plan(gpu_usd_per_hour=0.27, container_disk_gb=73, volume_gb=100))
    assert known.running == pytest.approx(0.27 + 0.01 + 7 / 730)
    assert known.stopped == pytest.approx(7 / 730)


def test_projections_are_hours_of_running() -> None:
    assert price(Plan(1.0, 0, 0)).projection() == {"24h": 24.0, "7d": 168.0, "30d": 720.0}


def test_the_breakdown_adds_up() -> None:
    parts = price(Plan(0.53, 50, 60)).breakdown()
    shares = parts["gpuPod"] + parts["containerDisk"] + parts["networkVolume"]
    assert shares == pytest.approx(parts["runningPerHour"], abs=2e-4)
    assert parts["stopped30d"] == pytest.approx(60 * 0.07 / 730 * 720, abs=1e-3)


def test_a_plan_with_negative_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        price(Plan(0.1, -1, 10))


def test_the_prices_are_those_of_the_price_file() -> None:
    raw = json.loads(PRICES.read_text(encoding="utf-8"))
    tiers = tuple((tier["uptoGb"], tier["usdPerGbMonth"]) for tier in raw["networkVolume"]["standardTiers"])
    assert tiers == cost.STORAGE.volume_tiers
    assert raw["containerDisk"]["runningUsdPerGbMonth"] == cost.STORAGE.container_disk
    assert raw["hoursPerMonth"] == cost.HOURS_PER_MONTH
    assert date.fromisoformat(raw["asOf"]) == cost.STORAGE.as_of


@pytest.mark.parametrize(("days", "stale"), [(0, False), (90, False), (91, True)])
def test_old_prices_are_stale(days: int, stale: bool) -> None:
    day = date(2026, 11, 22)
    assert cost.is_stale(day, date.fromordinal(day.toordinal() + days)) is stale


@pytest.mark.parametrize(
    ("planned", "running", "words"),
    [
        (0.27, None, "$0.2700/h; nothing runs now"),
        (0.27, 0.27, "$0.2700/h; unchanged"),
        (0.53, 0.27, "$0.5300/h; +0.2600 against $0.2700/h now"),
        (0.27, 0.53, "$0.2700/h; -0.2600 against $0.5300/h now"),
    ],
)
def test_the_difference_is_one_phrase(planned: float, running: float | None, words: str) -> None:
    assert cost.difference(planned, running) == words
