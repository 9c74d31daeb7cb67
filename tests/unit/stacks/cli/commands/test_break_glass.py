"""Which things `make break-glass` ends, from their names alone."""

import pytest

from components.runpod.marker import Marker
from stacks.cli.commands import break_glass
from stacks.cli.errors import CliError
from tests.unit.stacks.cli.listed_resources import OTHERS, OURS, a_pod, a_volume, an_item

ITEMS = [
    an_item(a_pod("p1", OURS.name("comfyui-dev-gpu"))),
    an_item(a_volume("v1", OURS.name("comfyui-dev-models"))),
    an_item(a_pod("renamed", "something", env={"COMFYUI_RUNPOD_MARKER": str(OURS)})),
    an_item(a_pod("theirs", OTHERS.name("comfyui-dev-gpu"))),
    an_item(a_pod("dev-2", Marker("1111111111", "aaaaaaaa", "bbbbbbbb").name("comfyui-dev-2-gpu"))),
    an_item(a_pod("prod", Marker("2222222222", "aaaaaaaa", "bbbbbbbb").name("comfyui-prod-gpu"))),
    an_item(a_pod("ended", Marker("3333333333", "aaaaaaaa", "bbbbbbbb").name("comfyui-dev-gpu"), status="TERMINATED")),
    an_item(a_pod("by-hand", "comfyui-dev-gpu")),
]


def test_resources_are_grouped_by_instance() -> None:
    found = break_glass.instances("dev", ITEMS)
    assert {instance: [item.id for item in items] for instance, items in found.items()} == {
        OURS.instance: ["p1", "v1", "renamed"], OTHERS.instance: ["theirs"],
    }  # fmt: skip


def test_the_list_says_what_each_costs() -> None:
    text = "\n".join(break_glass.lines(break_glass.instances("dev", ITEMS)))
    assert f"instance {OTHERS.instance}, $12.00/day" in text
    assert "  pod p1 (" in text


@pytest.mark.parametrize("keep", [True, False])
def test_volumes_end_too_unless_they_are_kept(keep: bool) -> None:
    ids = [item.id for item in break_glass.to_delete(ITEMS, OURS.instance, keep_volumes=keep)]
    assert ids == (["p1", "renamed"] if keep else ["p1", "v1", "renamed"])


def test_the_only_instance_needs_no_choice() -> None:
    assert break_glass.choose({"a": []}, "") == "a"
    assert break_glass.choose({"a": [], "b": []}, "b") == "b"


@pytest.mark.parametrize(("named", "reason"), [("", "several instances"), ("c", "no instance 'c'")])
def test_an_ambiguous_instance_is_never_guessed(named: str, reason: str) -> None:
    with pytest.raises(CliError, match=f"{reason}.*INSTANCE=id: a, b"):
        break_glass.choose({"a": [], "b": []}, named)
