"""What `make destroy` says before and after, and what it ends although the engine is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks.cli.account.environment_resources import ResourceMatcher
from stacks.cli.checkout import Checkout
from stacks.cli.commands import destroy
from stacks.cli.errors import CliError
from stacks.cli.pulumi.stack import VOLUME
from tests.unit.stacks.cli.listed_resources import OTHERS, OURS, a_pod, a_volume, an_item

EARLIER = OTHERS
POD = an_item(a_pod("p1", OURS.name("comfyui-dev-gpu"), cost=0.27))
OWN = an_item(a_volume("v1", OURS.name("comfyui-dev-models")))
TAKEN = an_item(a_volume("taken", "by-hand"))
KEPT_EARLIER = an_item(a_volume("old", EARLIER.name("comfyui-dev-models")))
CLAIM = ResourceMatcher("dev", frozenset({OURS.instance}), frozenset({"p1", "v1"}), frozenset({"taken"}))
EVERYTHING = [POD, OWN, TAKEN, KEPT_EARLIER]


def checkout(tmp_path: Path, volume: str) -> Checkout:
    (tmp_path / "stacks").mkdir()
    made = Checkout(tmp_path, "dev")
    made.stack_file.write_text(f"config:\n  comfyui-runpod:volume: {volume}\n")
    return made


@pytest.mark.parametrize(
    ("volume", "stays"), [("{keep: true}", True), ("{keep: false}", False), ("{id: v1}", True), ("{}", False)]
)
def test_deleted_and_kept_resources_follow_the_stack_file(tmp_path: Path, volume: str, stays: bool) -> None:
    messages = "\n".join(destroy.losses(checkout(tmp_path, volume), EVERYTHING, CLAIM))
    assert f"{POD.label}, $0.2700/h: is deleted" in messages
    assert (f"{OWN.label}, $0.0096/h: stays and is still billed" in messages) is stays
    assert ("models, uploads, outputs, users, keys" in messages) is not stays
    assert "taken" not in messages
    assert "old" not in messages


def test_a_protected_volume_is_refused_before_anything_ends_and_the_way_is_said() -> None:
    state = {"resources": [{"type": VOLUME, "id": "v1", "protect": True}]}
    with pytest.raises(CliError, match=r"v1 of prod is protected.*make pause ENV=prod.*volume.protect to false"):
        destroy.refuse_protected("prod", state)
    destroy.refuse_protected("prod", {"resources": [{"type": VOLUME, "id": "v1"}]})


@pytest.mark.parametrize(("keep", "ends"), [(False, ["p1", "v1"]), (True, ["p1"])])
def test_leftovers_are_deleted_except_used_or_kept_volumes(keep: bool, ends: list[str]) -> None:
    left = destroy.leftovers(EVERYTHING, CLAIM, {OURS.instance}, keep_volumes=keep)
    assert [item.id for item in left] == ends


def test_a_volume_of_an_earlier_instance_is_never_deleted_by_this_destroy() -> None:
    both = ResourceMatcher("dev", frozenset({OURS.instance, EARLIER.instance}))
    left = destroy.leftovers([OWN, KEPT_EARLIER], both, {OURS.instance}, keep_volumes=False)
    assert [item.id for item in left] == ["v1"]


def test_only_what_was_made_for_it_makes_destroy_fail() -> None:
    assert destroy.billing(EVERYTHING, CLAIM, keep_volumes=False) == [POD, OWN]
    assert destroy.billing([OWN, TAKEN, KEPT_EARLIER], CLAIM, keep_volumes=True) == []


def test_every_billed_volume_is_listed_with_its_reason() -> None:
    lines = destroy.verdict("dev", [OWN, TAKEN, KEPT_EARLIER], CLAIM).splitlines()
    assert lines[0] == "dev is deleted; these resources are billed until you delete them:"
    assert "volume v1" in lines[1]
    assert "$7.00 per month: kept because of volume.keep" in lines[1]
    assert "volume taken (by-hand), $7.00 per month: it is set by volume.id" in lines[2]
    assert "volume old" in lines[3]
    assert "an earlier destroy kept it, or it belongs to another person's dev" in lines[3]
    assert "make sweep ENV=dev VOLUMES=old YES=1" in lines[3]


def test_the_verdict_is_clean_only_without_billed_resources() -> None:
    assert destroy.verdict("dev", [], CLAIM) == "dev is deleted; nothing of it is billed any more."
