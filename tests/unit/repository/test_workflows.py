"""The GitHub workflows, .ci/run and the Makefile agree with each other."""

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = ROOT / ".github" / "workflows"
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
TIERS = ("test", "test-slow", "test-nightly")


def job(workflow: str) -> dict[str, Any]:
    """Return the only job of a workflow."""
    (found,) = yaml.safe_load((WORKFLOWS / workflow).read_text())["jobs"].values()
    return dict(found)


def marker_expression(target: str) -> str:
    """Return the expression by which a target selects tests."""
    found = re.search(rf"^{target}:.*\n\t.* -m pytest .*-m \"([a-z ]+)\" ", MAKEFILE, re.MULTILINE)
    assert found is not None, target
    return found[1]


def test_the_preview_workflow_runs_make_preview() -> None:
    commands = [step["run"] for step in job("preview.yml")["steps"] if "run" in step]
    assert commands == ["make preview ENV=${{ matrix.env }}"]


def test_every_environment_is_previewed() -> None:
    stacks = {file.name.split(".")[1] for file in (ROOT / "stacks").glob("Pulumi.*.yaml")}
    assert set(job("preview.yml")["strategy"]["matrix"]["env"]) == stacks


def test_the_checks_workflow_runs_what_ci_runs() -> None:
    runs = job("checks.yml")["strategy"]["matrix"]["include"]
    targets = [re.sub(r"^sudo --preserve-env env \"PATH=\$PATH\" ", "", run["command"]) for run in runs]
    assert set(targets) == set(_ci_commands())
    assert [run["command"] for run in runs if run.get("skipped_on") == "pull_request"] == [runs[-1]["command"]]


@pytest.mark.parametrize("workflow", sorted(path.name for path in WORKFLOWS.iterdir()))
def test_a_workflow_uses_no_secret(workflow: str) -> None:
    assert "secrets." not in (WORKFLOWS / workflow).read_text()


def test_every_make_target_has_a_line_in_the_help() -> None:
    declared = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert declared is not None
    assert set(declared[1].split()) == TARGETS
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE)) == TARGETS
    assert 'eval "$(make -s env' in shown


@pytest.mark.parametrize("has", list(itertools.product([False, True], repeat=3)))
def test_every_test_is_in_one_tier_and_one_that_costs_money_in_none(has: tuple[bool, bool, bool]) -> None:
    slow, nightly, live = has
    marks = {"slow": slow, "nightly": nightly, "live": live}
    selected = [eval(marker_expression(tier), marks) for tier in TIERS]  # noqa: S307 - an expression of the Makefile
    assert selected == ([False] * 3 if live else [not nightly and not slow, slow and not nightly, nightly])


def test_the_fast_tests_are_a_part_of_the_tests_before_every_commit() -> None:
    assert marker_expression("test-fast") == marker_expression("test")
    folders = re.search(r"^FAST = \$\(addprefix tests/unit/,(.*)\)$", MAKEFILE, re.MULTILINE)
    assert folders is not None
    assert [name for name in folders[1].split() if not (ROOT / "tests" / "unit" / name).is_dir()] == []


def test_ci_checks_and_runs_both_tiers_and_stops_at_the_first_failure() -> None:
    assert _ci_commands() == ["make check", "make test", "make test-slow"]
    assert "set -euo pipefail" in (ROOT / ".ci" / "run").read_text().splitlines()


def _ci_commands() -> list[str]:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    return [line for line in lines if line.startswith("make")]
