"""Placement plans: what is tried where, why not the others, and how a saved plan is used."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.placement import GpuCatalogue, Offer, PlacementRequest, Requirement
from stacks.cli.checkout import Checkout
from stacks.cli.commands import placement
from stacks.cli.errors import CliError
from stacks.cli.pulumi import stack
from stacks.cli.reports import placement_plan
from stacks.cli.reports.placement_plan import DataCenterStock

OFFERS = (
    Offer("A", 24, 0.3, {"EU-RO-1": "LOW", "US-TX-3": "HIGH", "US-GA-1": "NONE"}),
    Offer("B", 48, 0.8, {"EU-RO-1": "HIGH"}),
    Offer("SMALL", 16, 0.2, {"EU-RO-1": "HIGH"}),
    Offer("DEAR", 80, 3.0, {"EU-RO-1": "HIGH"}),
    Offer("COMMUNITY", 24, None, {}),
    Offer("FAR", 24, 0.3, {"AP-JP-1": "HIGH"}),
)
CATALOGUE = GpuCatalogue(
    OFFERS, frozenset({"EU-RO-1", "US-TX-3", "US-GA-1", "AP-JP-1"}), "RunPod's API", date(2026, 11, 22)
)
NEED = Requirement(24, 2.0, exclude=frozenset({"B"}))


def test_named_candidates_keep_their_order_and_any_data_centre_is_ranked_by_stock() -> None:
    plan = placement_plan.build_plan("dev", PlacementRequest(("B", "A"), None, 2, ()), CATALOGUE)
    assert [(choice.gpu, choice.usdPerHour) for choice in plan.candidates] == [("B", 1.6), ("A", 0.6)]
    assert plan.candidates[1].dataCenters == (DataCenterStock("US-TX-3", "HIGH"), DataCenterStock("EU-RO-1", "LOW"))
    assert plan.data_centers() == ["EU-RO-1", "US-TX-3"]
    assert {refusal.reason for refusal in plan.refused} == {
        "not among gpu.candidates", "not in Secure Cloud, where network volumes are",
    }  # fmt: skip


def test_a_requirement_gives_a_reason_for_every_rejected_gpu() -> None:
    plan = placement_plan.build_plan("dev", PlacementRequest((), NEED, 1, ("US-GA-1", "EU-RO-1")), CATALOGUE)
    assert [choice.gpu for choice in plan.candidates] == ["A"]
    assert plan.candidates[0].dataCenters == (DataCenterStock("EU-RO-1", "LOW"),)
    assert {refusal.gpu: refusal.reason for refusal in plan.refused} == {
        "B": "in gpu.require.exclude",
        "SMALL": "16 GB are less than 24 GB",
        "DEAR": "$3.00/h are more than $2.00/h",
        "COMMUNITY": "not in Secure Cloud, where network volumes are",
        "FAR": "in none of US-GA-1, EU-RO-1",
    }
    text = "\n".join(placement_plan.lines(plan))
    assert "1. A (24 GB), $0.30/h, LOW in EU-RO-1" in text
    assert "  not tried, 16 GB are less than 24 GB: SMALL" in text


def test_a_data_centre_without_stock_stays_when_there_is_no_other() -> None:
    plan = placement_plan.build_plan("dev", PlacementRequest(("A",), None, 1, ("US-GA-1",)), CATALOGUE)
    assert plan.candidates[0].dataCenters == (DataCenterStock("US-GA-1", "NONE"),)


def saved(environment: str = "dev") -> Any:  # noqa: ANN401
    return json.loads(
        json.dumps(
            placement_plan.build_plan(environment, PlacementRequest(("B", "A"), None, 1, ()), CATALOGUE).to_json()
        )
    )


def test_a_saved_plan_replaces_gpus_and_data_centres_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"comfyui-runpod:gpu": {"require": {}}, "runpod:apiKey": {"secure": "v1:x"}}
    (tmp_path / "stacks").mkdir()
    checkout = Checkout(tmp_path, "dev")
    checkout.stack_file.write_text(yaml.safe_dump({"encryptionsalt": "s", "config": config}))
    before = checkout.stack_file.read_text()
    (tmp_path / "plan.json").write_text(json.dumps(saved()))
    with placement.settings_file(checkout, str(tmp_path / "plan.json")) as (flag, file):
        assert flag == "--config-file"
        assert yaml.safe_load(Path(file).read_text()) == {
            "encryptionsalt": "s",
            "config": {
                "comfyui-runpod:gpu": {"candidates": ["B", "A"], "count": 1},
                "comfyui-runpod:dataCenters": ["EU-RO-1", "US-TX-3"],
                "runpod:apiKey": {"secure": "v1:x"},
            },
        }
    assert not Path(file).exists()
    assert checkout.stack_file.read_text() == before
    assert "instead of Pulumi.dev.yaml: B, A" in capsys.readouterr().out
    with placement.settings_file(checkout, "") as arguments:
        assert arguments == ()


@pytest.mark.parametrize("content", [{}, [], {"candidates": [{}]}, saved("prod"), {**saved(), "candidates": []}])
def test_what_is_no_plan_for_this_environment_is_refused(content: object) -> None:
    with pytest.raises(CliError, match="placement"):
        placement_plan.override({}, content, "dev")


def test_a_volume_that_exists_fixes_the_data_centre() -> None:
    state = {"resources": [{"type": "runpod:index:NetworkVolume", "outputs": {"dataCenterId": "EU-RO-1"}}]}
    assert stack.volume_center(state) == "EU-RO-1"
    assert stack.volume_center({}) == ""
