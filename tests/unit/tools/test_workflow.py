"""The preview workflow does what a person does, for every environment there is."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


def job() -> dict[str, Any]:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "preview.yml").read_text())
    return dict(workflow["jobs"]["preview"])


def test_every_step_that_runs_something_is_a_make_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [step["run"] for step in job()["steps"] if "run" in step]
    assert commands == ["make preview ENV=${{ matrix.env }}"]
    assert {command.split()[1] for command in commands} <= targets


def test_every_environment_is_previewed() -> None:
    stacks = {file.name.split(".")[1] for file in (ROOT / "stacks").glob("Pulumi.*.yaml")}
    assert set(job()["strategy"]["matrix"]["env"]) == stacks


def test_no_secret_is_handed_in() -> None:
    assert "secrets." not in (ROOT / ".github" / "workflows" / "preview.yml").read_text()


def test_every_make_target_has_a_line_in_the_help() -> None:
    text = (ROOT / "Makefile").read_text()
    declared = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert declared is not None
    assert set(declared[1].split()) == set(re.findall(r"^([a-z-]+):.*##", text, re.MULTILINE))


@pytest.mark.parametrize("has", list(itertools.product([False, True], repeat=3)))
def test_every_test_is_in_one_tier_and_one_that_costs_money_in_none(has: tuple[bool, bool, bool]) -> None:
    tiers = re.findall(r"^\t.* -m pytest .*-m \"?([a-z ]+)\"? ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(tiers) == 3
    slow, nightly, live = has
    marks = {"slow": slow, "nightly": nightly, "live": live}
    assert [eval(tier, marks) for tier in tiers] == (  # noqa: S307 - the Makefile's own words
        [False] * 3 if live else [not nightly and not slow, slow and not nightly, nightly]
    )


def test_a_clean_checkout_is_checked_and_runs_both_tiers() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make check", "make test", "make test-slow"]
    assert "set -euo pipefail" in lines
