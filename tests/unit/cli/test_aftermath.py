"""What a failed `up` says: at what it failed, what exists, what that costs, and how to go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacks.cli import aftermath, holdings, stack, up
from stacks.cli.account import Item
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.events import Failure
from stacks.cli.holdings import Claim
from stacks.cli.place import Place
from tests.unit.cli.things import OTHERS, OURS, a_pod, a_volume, an_item
from tools.plugins import install as plugins

POD = an_item(a_pod("p1", OURS.name("comfyui-dev-gpu"), cost=0.27))
VOLUME = an_item(a_volume("v1", OURS.name("comfyui-dev-models")))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(Place(tmp_path, "dev"), {})


def told(engine: Engine, monkeypatch: pytest.MonkeyPatch, found: list[Item] | CliError) -> str:
    def look(*_: object) -> list[Item]:
        if isinstance(found, CliError):
            raise found
        return found

    monkeypatch.setattr(stack, "deployment", lambda _engine: {})
    monkeypatch.setattr(holdings, "claim", lambda *_: Claim("dev", frozenset({OURS.instance})))
    monkeypatch.setattr(holdings, "look", look)
    return aftermath.text(engine, [Failure("dev-comfyui-install", "no space left")], interrupted=False)


def test_it_says_what_failed_what_bills_and_the_ways_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    colleagues = an_item(a_volume("other", OTHERS.name("comfyui-dev-models")))
    assert told(engine, monkeypatch, [POD, VOLUME, colleagues]).splitlines() == [
        "up failed at dev-comfyui-install: no space left",
        "of dev this exists now:",
        f"  {POD.label}, $0.2700/h",
        f"  {VOLUME.label}, $0.0096/h",
        "together $0.2796/h ($6.71 a day) until:",
        "  `make up ENV=dev` goes on from here",
        "  `make pause ENV=dev` ends the pod and keeps the volume",
        "  `make destroy ENV=dev` ends all of it",
    ]


def test_it_says_when_nothing_bills(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing of dev exists, and nothing bills" in told(engine, monkeypatch, [])


def test_an_account_that_cannot_be_asked_is_no_account_that_is_empty(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = told(engine, monkeypatch, CliError("no network"))
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
def test_what_is_an_environments(item: Item, owns: bool, uses: bool, resembles: bool) -> None:
    claim = Claim("dev", frozenset({OURS.instance}), frozenset({"in-state"}), frozenset({"taken"}))
    assert (claim.owns(item), claim.uses(item), claim.resembles(item)) == (owns, uses, resembles)


def test_a_volume_is_taken_by_the_state_or_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    place = Place(tmp_path, "dev")
    place.stack_file.write_text("config: {'comfyui-runpod:volume': {id: file}}\n")
    state = {"resources": [{"type": stack.POD, "id": "p1", "inputs": {"networkVolumeId": "state"}}]}
    claim = holdings.claim(Engine(place, {}), state)
    assert (claim.ids, claim.taken) == (frozenset({"p1"}), frozenset({"file", "state"}))


@pytest.mark.parametrize(
    ("plugin", "url", "warns"),
    [
        (plugins.STANDIN, "https://rest.runpod.io", True),
        (plugins.STANDIN, "http://127.0.0.1:8642", False),
        (plugins.OFFICIAL, "https://rest.runpod.io", False),
    ],
)
def test_a_real_account_is_told_that_a_stand_in_serves_it(tmp_path: Path, plugin: str, url: str, warns: bool) -> None:
    for folder in ("stacks", ".cache"):
        (tmp_path / folder).mkdir()
    place = Place(tmp_path, "dev")
    place.stack_file.write_text(f"config: {{'runpod:apiUrl': '{url}'}}\n")
    (tmp_path / ".cache" / "setup.json").write_text(json.dumps({"command_plugin": plugin}))
    assert ("make setup" in up.plugin_warning(place)) is warns
    assert up.STANDIN == plugins.STANDIN
