"""What a failed `up` says: at what it failed, what exists, what that costs, and how to go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacks.cli.account import environment_resources
from stacks.cli.account.account_items import AccountItem
from stacks.cli.account.environment_resources import ResourceMatcher
from stacks.cli.checkout import Checkout
from stacks.cli.commands import up
from stacks.cli.errors import CliError
from stacks.cli.pulumi import stack
from stacks.cli.pulumi.engine import Engine
from stacks.cli.pulumi.event_log import Failure
from stacks.cli.reports import failure_report
from tests.unit.stacks.cli.listed_resources import OTHERS, OURS, a_pod, a_volume, an_item
from tools.plugins import install as plugins

POD = an_item(a_pod("p1", OURS.name("comfyui-dev-gpu"), cost=0.27))
VOLUME = an_item(a_volume("v1", OURS.name("comfyui-dev-models")))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(Checkout(tmp_path, "dev"), {})


def messages(engine: Engine, monkeypatch: pytest.MonkeyPatch, found: list[AccountItem] | CliError) -> str:
    def look(*_: object) -> list[AccountItem]:
        if isinstance(found, CliError):
            raise found
        return found

    monkeypatch.setattr(stack, "deployment", lambda _engine: {})
    monkeypatch.setattr(
        environment_resources, "matcher_of", lambda *_: ResourceMatcher("dev", frozenset({OURS.instance}))
    )
    monkeypatch.setattr(environment_resources, "list_resources", look)
    return failure_report.format_report(engine, [Failure("dev-comfyui-install", "no space left")], interrupted=False)


def test_a_failure_report_has_the_failure_the_costs_and_next_commands(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    colleagues = an_item(a_volume("other", OTHERS.name("comfyui-dev-models")))
    assert messages(engine, monkeypatch, [POD, VOLUME, colleagues]).splitlines() == [
        "up failed at dev-comfyui-install: no space left",
        "these resources of dev exist now:",
        f"  {POD.label}, $0.2700/h",
        f"  {VOLUME.label}, $0.0096/h",
        "they cost $0.2796/h ($6.71 a day) until you run one of:",
        "  `make up ENV=dev` continues from here",
        "  `make pause ENV=dev` deletes the pod and keeps the volume",
        "  `make destroy ENV=dev` deletes everything",
    ]


def test_a_failure_report_without_resources(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing of dev exists, and nothing is billed" in messages(engine, monkeypatch, [])


def test_an_account_that_cannot_be_asked_is_no_account_that_is_empty(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = messages(engine, monkeypatch, CliError("no network"))
    assert "what exists now is not known: no network" in text
    assert "make destroy ENV=dev" in text


@pytest.mark.parametrize(
    ("item", "owns", "uses", "resembles"),
    [
        (POD, True, False, False),
        (an_item(a_volume("in-state", "renamed")), True, False, False),
        (an_item(a_volume("taken", "by-hand")), False, True, False),
        (an_item(a_volume("kept", OTHERS.name("comfyui-dev-models"))), False, False, True),
        (an_item(a_volume("new", OTHERS.name("comfyui-dev-models-unused"))), False, False, True),
        (an_item(a_volume("other", OTHERS.name("comfyui-dev-2-models"))), False, False, False),
        (an_item(a_pod("p2", OTHERS.name("comfyui-dev-gpu"))), False, False, False),
        (an_item(a_pod("p3", OURS.name("x"), status="TERMINATED")), False, False, False),
    ],
)
def test_what_is_an_environments(item: AccountItem, owns: bool, uses: bool, resembles: bool) -> None:
    claim = ResourceMatcher("dev", frozenset({OURS.instance}), frozenset({"in-state"}), frozenset({"taken"}))
    assert (claim.owns(item), claim.uses(item), claim.resembles(item)) == (owns, uses, resembles)


def test_a_volume_is_taken_by_the_state_or_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    checkout = Checkout(tmp_path, "dev")
    checkout.stack_file.write_text("config: {'comfyui-runpod:volume': {id: file}}\n")
    state = {"resources": [{"type": stack.POD, "id": "p1", "inputs": {"networkVolumeId": "state"}}]}
    claim = environment_resources.matcher_of(Engine(checkout, {}), state)
    assert (claim.ids, claim.taken) == (frozenset({"p1"}), frozenset({"file", "state"}))


@pytest.mark.parametrize(
    ("plugin", "url", "warns"),
    [
        (plugins.STANDIN, "https://rest.runpod.io", True),
        (plugins.STANDIN, "http://127.0.0.1:8642", False),
        (plugins.OFFICIAL, "https://rest.runpod.io", False),
    ],
)
def test_a_real_account_with_a_stand_in_gets_a_warning(tmp_path: Path, plugin: str, url: str, warns: bool) -> None:
    for folder in ("stacks", ".cache"):
        (tmp_path / folder).mkdir()
    checkout = Checkout(tmp_path, "dev")
    checkout.stack_file.write_text(f"config: {{'runpod:apiUrl': '{url}'}}\n")
    (tmp_path / ".cache" / "setup.json").write_text(json.dumps({"command_plugin": plugin}))
    assert ("make setup" in up.plugin_warning(checkout)) is warns
    assert up.STANDIN == plugins.STANDIN
