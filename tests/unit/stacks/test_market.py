"""A catalogue that moves: prices, tiers, stock and whole GPU types come and go, and nothing of what runs is touched."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pulumi
import pytest
from pulumi.runtime.rpc import _special_sig_key

from components.errors import NotOfferedError, PlacementError
from components.placement import GpuCatalogue, Offer, PlacementRequest, rank
from components.runpod.api.models import Pod
from components.runpod.marker import ENV_NAME, Marker
from components.runpod.plugin.base.resource import ProviderOperation, ResourceHandler
from components.runpod.plugin.base.settings import ProviderSettings
from components.runpod.plugin.pods.pod_state import observe
from components.runpod.plugin.resources.network_volume import NetworkVolumeHandler
from components.runpod.plugin.resources.pod import PodHandler
from stacks import plan, program
from stacks.lockfile import Lock
from stacks.settings import Settings, parse
from tests.unit.components.recorder import Recorder, settle
from tests.unit.components.runpod.conftest import api, client, clock, intents, lines, operation
from tests.unit.components.runpod.fake_api import FakeApi, pod
from tests.unit.stacks.stack_file import raw

__all__ = ["api", "client", "clock", "intents", "lines", "operation"]
"""Fixtures."""

A5000, A40, L4 = "NVIDIA RTX A5000", "NVIDIA A40", "NVIDIA L4"
CENTERS = ["EU-RO-1", "US-KS-2"]
MARKER = Marker("0123456789", "01234567", "89abcdef")
NAMED = {"candidates": [A5000, A40]}
KINDS: dict[str, ResourceHandler] = {"dev-gpu-pod": PodHandler(), "dev-models-volume": NetworkVolumeHandler()}
REQUIRED = {"require": {"minVramGb": 24, "maxPricePerHour": 0.3, "tiers": ["Mid"]}}


def chosen(gpu: dict[str, Any]) -> Settings:
    return parse("dev", raw(gpu=gpu, dataCenters=CENTERS), set())


def catalogues(seed: int, count: int) -> Iterator[GpuCatalogue]:
    """Yield catalogues of which each lists what it happens to have, as RunPod's does."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(count):
        offers = [
            Offer(gpu, vram, draw.choice([None, 0.19, 0.27, 0.29, 0.31, 1.9]), _stock(draw))
            for gpu, vram in ((A5000, 24), (A40, 48), (L4, 24))
            if draw.random() < 0.7
        ]
        centers = frozenset(draw.sample(CENTERS, draw.randint(1, 2)))
        yield GpuCatalogue(tuple(offers), centers, "api", date(2026, 11, 22))


def _stock(draw: random.Random) -> dict[str, str]:
    return {center: draw.choice(["LOW", "HIGH"]) for center in [*CENTERS, "EU-SE-1"] if draw.random() < 0.4}


def declared(settings: Settings, catalogue: GpuCatalogue) -> Recorder:
    def main() -> pulumi.Output[object]:
        provision = plan.provision(settings, Lock())
        return pulumi.Output.from_input(
            program.build(settings, provision, catalogue=catalogue, bundle="b").cost_per_hour
        )

    return settle(main)[0]


def on_the_wire(value: Any) -> Any:  # noqa: ANN401 - any property value
    """Return what the engine hands to the provider: whole numbers, no secrets' wrapping, nothing that is None."""
    if isinstance(value, dict):
        inner = value["value"] if _special_sig_key in value else value
        return {key: on_the_wire(item) for key, item in inner.items() if item is not None}
    if isinstance(value, list):
        return [on_the_wire(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def running(inputs: dict[str, Any]) -> Pod:
    """Return the pod that RunPod shows for these inputs, on the first of the GPUs."""
    mount = {"volumeId": inputs["networkVolumeId"], "path": inputs["volumeMountPath"]}
    raw_pod = pod(
        name=MARKER.name(inputs["name"]), image=inputs["imageName"], args=inputs["dockerArgs"],
        disk=inputs["containerDiskInGb"], ports=inputs["ports"].split(","), mounts={"network": [mount]},
        env={**inputs["env"], ENV_NAME: str(MARKER)}, gpu={"id": A5000, "count": 1},
    )  # fmt: skip
    return Pod.model_validate(raw_pod)


@pytest.mark.parametrize("moves", [15, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("gpu", [NAMED, REQUIRED], ids=["named", "required"])
def test_a_catalogue_that_moves_changes_nothing(
    gpu: dict[str, Any], moves: int, operation: ProviderOperation, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulumi.log.warn", lambda *_arguments: None)
    settings = chosen(gpu)
    first = GpuCatalogue((Offer(A5000, 24, 0.27, {"EU-RO-1": "LOW"}),), frozenset(CENTERS), "api", date(2026, 11, 22))
    before = {name: args.inputs for name, args in declared(settings, first).seen.items()}
    offline = replace(operation, settings=ProviderSettings())
    olds = {name: kind.check(offline, {}, on_the_wire(before[name]))[0] for name, kind in KINDS.items()}
    states = {
        "dev-gpu-pod": observe(running(olds["dev-gpu-pod"]), olds["dev-gpu-pod"], MARKER, offline.settings),
        "dev-models-volume": {**olds["dev-models-volume"], "dataCenterId": "EU-RO-1"},
    }
    for catalogue in catalogues(4711, moves):
        seen = declared(settings, catalogue).seen
        for name, kind in KINDS.items():
            inputs, failures = kind.check(operation, olds[name], on_the_wire(seen[name].inputs))
            assert failures == [], catalogue
            assert not kind.diff(states[name], inputs), catalogue
        assert {name: seen[name].inputs for name in seen if name not in KINDS} == {
            name: before[name] for name in before if name not in KINDS
        }, catalogue
    assert api.requests == [], "nothing about what runs is asked of the market"


def test_a_market_without_anything_is_a_warning_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda line, *_: warned.append(line))
    nothing = GpuCatalogue((Offer(A5000, 24, 0.31),), frozenset(CENTERS), "api", date(2026, 11, 22))
    recorder = declared(chosen(REQUIRED), nothing)
    assert recorder.inputs("dev-gpu-pod")["gpuTypeIdList"] == []
    assert recorder.inputs("dev-gpu-pod")["gpuRequirement"]["maxUsdPerHour"] == 0.3
    assert any("No new pod is available now; the running one" in line and "$0.30/h" in line for line in warned)


@pytest.mark.parametrize(
    ("candidates", "kind"), [((L4,), NotOfferedError), (("NVIDIA L44",), PlacementError)], ids=["not-now", "no-such"]
)
def test_an_unavailable_gpu_differs_from_an_unknown_one(
    candidates: tuple[str, ...], kind: type[PlacementError]
) -> None:
    catalogue = GpuCatalogue((Offer(A5000, 24, 0.31),), frozenset(), "api", date(2026, 11, 22))
    with pytest.raises(PlacementError) as refused:
        rank(PlacementRequest(candidates, None, 1, ()), catalogue)
    assert type(refused.value) is kind
