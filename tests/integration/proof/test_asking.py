"""An update that ends a pod or a volume with data asks first, on the real engine; nothing else asks."""

from __future__ import annotations

import pytest

from stacks.cli import aftermath, up
from stacks.cli.consent import Consent
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from tests.integration.proof.runpod import RunPod
from tests.integration.proof.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_what_ends_a_pod_or_a_volume_needs_a_word_and_nothing_else_does(
    site: Site, runpod: RunPod, capfd: pytest.CaptureFixture[str]
) -> None:
    engine, nobody = Engine(site.place, site.environ), Consent("local")
    site.settings(proof__volume="true", proof__replace="before")
    assert up.update(engine, nobody) == (0, [])
    first = runpod.holds()
    assert len(first) == 2
    site.settings(proof__x="2")
    assert up.update(engine, nobody) == (0, [])
    assert runpod.holds() == first

    (pod,) = [one.id for one in runpod.pods()]
    site.settings(proof__gpus="NVIDIA GeForce RTX 4090", proof__volume="false")
    with pytest.raises(CliError) as refused:
        up.update(engine, nobody)
    said = str(refused.value)
    assert f"pod {pod} (NVIDIA RTX A5000) is replaced because of gpuTypeIdList" in said
    assert "(20 GB in EU-RO-1) is deleted: models" in said
    assert "say YES=1 or YES=local to do it" in said
    assert runpod.holds() == first

    asked: list[str] = []

    def person(prompt: str) -> str:
        asked.append(prompt)
        return "local"

    assert up.update(engine, Consent("local", answer=person)) == (0, [])
    assert asked == ["type local to go on: "]
    assert len(runpod.holds() - first) == len(runpod.holds()) == 1

    site.settings(proof__gpus="NVIDIA RTX A5000")
    runpod.faults({"method": "POST", "path": "^/v2/pods$", "do": {"status": 402}})
    code, failures = up.update(engine, Consent("local", given=True))
    runpod.faults()
    assert code == 1
    assert any(failure.name == "pod" and failure.reason for failure in failures), failures
    told = aftermath.text(engine, failures, interrupted=False)
    assert told.startswith("up failed at pod: ")
    assert "nothing of local exists, and nothing bills" in told
    capfd.readouterr()
