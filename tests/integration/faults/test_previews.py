"""Every environment can be previewed without an account: what `.github/workflows/preview.yml` does for each change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.integration.faults.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WORKFLOW = yaml.safe_load((Path(__file__).parents[3] / ".github/workflows/preview.yml").read_text(encoding="utf-8"))
JOB = WORKFLOW["jobs"]["preview"]
STEPS = [step["run"] for step in JOB["steps"] if "run" in step]


def test_the_workflow_previews_every_environment() -> None:
    assert JOB["strategy"]["matrix"]["env"] == ["local", "dev", "staging", "prod"]
    assert "secrets." not in str(WORKFLOW)


@pytest.mark.parametrize("env", ["dev", "staging", "prod"])
def test_the_steps_of_the_workflow_price_an_environment_from_the_price_file(bench: Bench, env: str) -> None:
    results = [bench.checkout.shell(step.replace("${{ matrix.env }}", env)) for step in STEPS]
    said = "".join(result.text for result in results)
    assert "the price file" in said
    assert re.search(r"Estimated cost with the first GPU: \$\d+\.\d+/h \(24h \$", said)
    assert "PlotL9.safetensors has no url and will be missing" in said
    # A preview must not pass where `up` would refuse: one model's hash is still to be recorded in dev.
    refused = re.findall(r"^ +- \[(\w+)\]  (\S+)  \(", said, re.MULTILINE)
    mandatory = {name for level, name in refused if level == "mandatory"}
    assert mandatory == (set() if env == "dev" else {"model-hashes-are-known"}), said
    assert all((result.code == 0) is (env == "dev") for result in results)
    assert bench.checkout.dirty() == ""
