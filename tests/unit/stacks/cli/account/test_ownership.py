"""Who may end what: the rules of `make sweep`."""

import pytest

from stacks.cli.account.ownership import Ownership, ResourceSelection, classify, classify_all, may_delete
from stacks.cli.commands import sweep
from stacks.cli.errors import CliError
from stacks.cli.pulumi.stack_index import IndexedStack, StackIndex
from tests.unit.stacks.cli.listed_resources import OTHERS, OURS, Thing, a_pod, a_volume, an_item

DEV = IndexedStack("dev", frozenset({OURS.instance}), frozenset({"held"}))
KNOWN = StackIndex((DEV, IndexedStack("prod", frozenset())))
UPDATING = StackIndex((IndexedStack("dev", frozenset({OURS.instance}), busy=True),))
MINE, COLLEAGUES = OURS.name("comfyui-dev-gpu"), OTHERS.name("comfyui-dev-gpu")


@pytest.mark.parametrize(
    ("thing", "known", "ownership", "stack"),
    [
        (a_pod("held", MINE), KNOWN, Ownership.HELD, "dev"),
        (a_pod("held", "renamed-by-hand"), KNOWN, Ownership.HELD, "dev"),
        (a_pod("lost", MINE), KNOWN, Ownership.ORPHAN, "dev"),
        (a_pod("lost", "renamed", env={"COMFYUI_RUNPOD_MARKER": str(OURS)}), KNOWN, Ownership.ORPHAN, "dev"),
        (a_pod("new", MINE), UPDATING, Ownership.BUSY, "dev"),
        (a_pod("theirs", COLLEAGUES), KNOWN, Ownership.FOREIGN, ""),
        (a_pod("hand"), KNOWN, Ownership.UNMARKED, ""),
        (a_volume("lost", OURS.name("m")), KNOWN, Ownership.ORPHAN, "dev"),
    ],
)
def test_ownership_of_a_resource(thing: Thing, known: StackIndex, ownership: Ownership, stack: str) -> None:
    owned = classify(an_item(thing), known)
    assert (owned.ownership, owned.stack) == (ownership, stack)


@pytest.mark.parametrize(
    ("thing", "named", "ends"),
    [
        (a_pod("held", MINE), ResourceSelection(frozenset({"held"})), False),
        (a_pod("lost", MINE), ResourceSelection(), True),
        (a_pod("theirs", COLLEAGUES), ResourceSelection(), False),
        (a_pod("theirs", COLLEAGUES), ResourceSelection(frozenset({"theirs"})), True),
        (a_pod("hand"), ResourceSelection(), False),
        (a_pod("hand"), ResourceSelection(volumes=frozenset({"hand"})), False),
        (a_pod("hand"), ResourceSelection(frozenset({"hand"})), True),
        (a_volume("lost", OURS.name("m")), ResourceSelection(), False),
        (a_volume("lost", OURS.name("m")), ResourceSelection(frozenset({"lost"})), False),
        (a_volume("lost", OURS.name("m")), ResourceSelection(volumes=frozenset({"lost"})), True),
    ],
)
def test_resources_that_a_sweep_may_delete(thing: Thing, named: ResourceSelection, ends: bool) -> None:
    assert may_delete(classify(an_item(thing), KNOWN), named) is ends


def test_what_an_update_may_be_making_is_left_alone_even_when_named() -> None:
    assert not may_delete(classify(an_item(a_pod("new", MINE)), UPDATING), ResourceSelection(frozenset({"new"})))


def test_a_pod_that_runpod_reports_as_ended_is_nothing_to_judge() -> None:
    assert classify_all([an_item(a_pod("p", MINE, status="TERMINATED"))], KNOWN) == []


def report(*things: Thing) -> sweep.SweepReport:
    return sweep.SweepReport(classify_all([an_item(thing) for thing in things], KNOWN), ("prod",))


def test_a_sweep_lists_each_orphan_with_its_price_and_the_sum() -> None:
    found = report(a_pod("lost", MINE), a_pod("theirs", COLLEAGUES), a_pod("held", MINE))
    text = "\n".join(sweep.lines(found, ResourceSelection(), act=False))
    assert "would delete pod lost" in text
    assert "$12.00/day: has the marker of a known stack and is in no state (dev)" in text
    assert "keeps pod theirs" in text
    assert "held" not in text
    assert "the state of prod cannot be read" in text
    assert text.endswith("1 to delete, $12.00/day; YES=1 deletes them")
    assert sweep.lines(report(), ResourceSelection(), act=False)[-1].startswith("no orphans found")


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (ResourceSelection(frozenset({"nobody"})), "no resource nobody"),
        (ResourceSelection(frozenset({"held"})), "make destroy ENV=dev"),
        (ResourceSelection(frozenset({"volume"})), "name it in VOLUMES"),
    ],
)
def test_an_invalid_selection_is_refused(named: ResourceSelection, reason: str) -> None:
    with pytest.raises(CliError, match=reason):
        sweep.refuse_wrong_selection(report(a_pod("held", MINE), a_volume("volume")).owned, named)
