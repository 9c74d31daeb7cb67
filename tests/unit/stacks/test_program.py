from __future__ import annotations

from dataclasses import fields, replace
from datetime import date

import pulumi
import pytest

from components import cost
from components.errors import PlacementError
from components.placement import GpuCatalogue, Offer, rank
from stacks import outputs, plan, program, report
from stacks.lockfile import Lock
from stacks.outputs import StackOutputs
from stacks.settings import Settings, parse
from tests.unit.components.recorder import OUTPUTS, Recorder, settle
from tests.unit.stacks.stack_file import CONFIG, raw

DAY = date(2026, 11, 22)
OFFERS = (Offer("NVIDIA RTX A5000", 24, 0.27, {"EU-RO-1": "HIGH"}), Offer("NVIDIA A40", 48, 0.49))
CATALOGUE = GpuCatalogue(OFFERS, frozenset({"EU-RO-1"}), "api", DAY)
TWO = {"candidates": ["NVIDIA RTX A5000", "NVIDIA A40"]}
NAMES = [
    "gatewayUrl",
    "apiKey",
    "adminKey",
    "podId",
    "gpu",
    "dataCenter",
    "volumeId",
    "sshCommand",
    "comfyuiRef",
    "isolation",
    "paused",
    "costPerHour",
    "costProjection",
    "costBreakdown",
]


def chosen(**changes: object) -> Settings:
    return parse("dev", raw(**changes), set())


def built(
    settings: Settings, *, preview: bool = False, running: float | None = None, paused: bool = False
) -> tuple[Recorder, dict[str, object]]:
    """Declare an environment and return what was asked for and the outputs' values, None where unknown."""
    exported: dict[str, object] = {}

    def main() -> pulumi.Output[object]:
        provision = plan.provision(settings, Lock())
        now = program.CurrentState(running, "EU-RO-1", paused)
        outs = program.build(settings, provision, catalogue=CATALOGUE, bundle="digest0", now=now)
        values = {name: getattr(outs, field.name) for name, field in zip(NAMES, fields(StackOutputs), strict=True)}
        return pulumi.Output.all(**values).apply(exported.update)

    recorder, _ = settle(main, preview=preview)
    return recorder, exported


def test_the_outputs_are_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr("pulumi.export", lambda name, _: names.append(name))
    outputs.export(StackOutputs(*[None] * 14))  # type: ignore[arg-type]
    assert names == NAMES


@pytest.mark.parametrize(("running", "said"), [(None, None), (0.0, "nothing runs now"), (0.1, "against $0.1000/h now")])
def test_a_preview_sets_the_cost_against_what_runs(
    monkeypatch: pytest.MonkeyPatch, running: float | None, said: str | None
) -> None:
    lines: list[str] = []
    monkeypatch.setattr("pulumi.log.info", lambda line, *_: lines.append(line))
    built(chosen(), preview=True, running=running)
    costs = [line for line in lines if line.startswith("Cost: ")]
    assert len(costs) == (said is not None)
    assert all(str(said) in line for line in costs)


def test_an_environment_says_where_it_is_and_what_it_costs() -> None:
    _, known = built(chosen())
    running = cost.price(cost.Plan(0.27, 50, 35)).running
    assert known["gatewayUrl"] == "https://pod0-8189.proxy.runpod.net"
    assert (known["podId"], known["gpu"], known["dataCenter"]) == ("pod0", "NVIDIA RTX A5000", "EU-RO-1")
    assert known["sshCommand"] == "make ssh ENV=dev  # root@10.0.0.1 -p 40022"
    assert known["comfyuiRef"] == f"v0.38.0@{'a' * 40}"
    assert known["isolation"] == "landlock"
    assert known["costPerHour"] == round(running, 4)
    assert known["costProjection"] == {
        "24h": round(running * 24, 2),
        "7d": round(running * 168, 2),
        "30d": round(running * 720, 2),
    }


def test_a_paused_environment_has_no_pod_and_keeps_volume_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    running, _ = built(chosen())
    paused, known = built(chosen(), paused=True)
    gone = {args.name for args in running.seen.values()} - {args.name for args in paused.seen.values()}
    assert gone == {"dev-gpu-pod", "dev-comfyui", "dev-comfyui-install"}
    volume = cost.price(cost.Plan(0.0, 0, 35)).running
    assert (known["paused"], known["podId"], known["gatewayUrl"], known["dataCenter"]) == (True, "", "", "EU-RO-1")
    assert known["costPerHour"] == round(volume, 4)
    assert paused.inputs("dev-budget")["usdPerHour"] == round(volume, 4)
    lines: list[str] = []
    monkeypatch.setattr("pulumi.log.info", lambda line, *_: lines.append(line))
    built(chosen(), preview=True, running=0.3, paused=True)
    assert f"Paused: no pod; the volume alone costs ${volume:.4f}/h" in lines
    assert not [line for line in lines if line.startswith("Placement")]


def test_the_budget_holds_the_real_price_of_a_running_pod() -> None:
    recorder, _ = built(chosen(gpu=TWO))
    budget = recorder.inputs("dev-budget")
    assert budget["usdPerHour"] == round(cost.price(cost.Plan(0.27, 50, 35)).running, 4)
    assert (budget["maxUsdPerHour"], budget["environment"]) == (0.6, "dev")


def test_a_volume_that_is_larger_than_wanted_is_priced_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OUTPUTS["runpod:index:NetworkVolume"], "size", 60.0)
    recorder, known = built(chosen())
    running = cost.price(cost.Plan(0.27, 50, 60)).running
    assert known["costPerHour"] == recorder.inputs("dev-budget")["usdPerHour"] == round(running, 4)


def test_what_cannot_be_placed_is_not_declared() -> None:
    with pytest.raises(PlacementError, match=r"^stacks/Pulumi\.dev\.yaml: gpu\.candidates: there is no GPU 'RTX 5000'"):
        built(chosen(gpu={"candidates": ["RTX 5000"]}))


def lines(settings: Settings, catalogue: GpuCatalogue = CATALOGUE) -> str:
    return "\n".join(report.lines(settings, rank(plan.placement_request(settings), catalogue), catalogue))


def warned(settings: Settings, catalogue: GpuCatalogue = CATALOGUE, today: date = DAY) -> str:
    return "\n".join(report.warnings(settings, plan.provision(settings, Lock()), catalogue, today))


def test_a_preview_ranks_the_candidates_and_prices_the_first() -> None:
    said = lines(chosen(gpu=TWO, dataCenters=["EU-RO-1"]))
    assert "Placement in EU-RO-1, prices from RunPod's API, 2026-11-22:" in said
    assert "1. NVIDIA RTX A5000 (24 GB, $0.27/h, stock HIGH)\n  2. NVIDIA A40 (48 GB, $0.49/h, stock unknown)" in said
    assert "Estimated cost with the first GPU: $0.2802/h (24h $6.72" in said


MODEL = CONFIG["models"][0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unknownHashes": "warn"}, "ae.safetensors: hash not known; record it with `make lock ENV=dev`"),
        ({"models": [{"name": "a.gguf", "folder": "vae", "optional": True}]}, "a.gguf has no url and will be missing"),
        ({"nodes": [{"name": "PG-Nodes", "optional": True}]}, "PG-Nodes has no repository and will be missing"),
        ({"pod": CONFIG["pod"] | {"replace": "after"}}, "the old and the new one"),
    ],
)
def test_missing_parts_and_double_billing_are_warnings(changes: dict[str, object], words: str) -> None:
    assert words not in warned(chosen())
    assert words in warned(chosen(**changes))


def test_file_prices_and_old_prices_are_warnings() -> None:
    assert warned(chosen()) == ""
    assert "price file of 2026-11-22, not from RunPod" in warned(chosen(), replace(CATALOGUE, source="price-file"))
    assert "Prices are old: GPUs 2026-11-22" in warned(chosen(), today=date(2027, 3, 1))


def test_a_volume_that_is_there_narrows_the_plan_that_a_preview_prints() -> None:
    settings = chosen(gpu={**TWO, "count": 1})
    offers = (
        Offer("NVIDIA RTX A5000", 24, 0.27, {"EU-RO-1": "HIGH"}),
        Offer("NVIDIA A40", 48, 0.49, {"US-KS-2": "LOW"}),
    )
    catalogue = replace(CATALOGUE, offers=offers, data_centers=frozenset({"EU-RO-1", "US-KS-2"}))
    candidates = rank(plan.placement_request(settings), catalogue)
    messages = list(report.lines(settings, candidates, catalogue, "US-KS-2"))
    assert messages[0].startswith("Placement in US-KS-2, where the volume is")
    assert "NVIDIA A40 (48 GB, $0.49/h, stock LOW)" in messages[1]
    assert not any("A5000" in line for line in messages)
    (nowhere,) = report.lines(settings, candidates, catalogue, "EU-SE-1")
    assert "no new pod is available there" in nowhere
