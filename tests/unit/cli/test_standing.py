"""Who may end what: the rules of `make sweep`."""

import pytest

from stacks.cli import sweep
from stacks.cli.errors import CliError
from stacks.cli.known import Known, KnownStack
from stacks.cli.standing import Named, Standing, judge, judge_all, may_end
from tests.unit.cli.things import OTHERS, OURS, Thing, a_pod, a_volume, an_item

DEV = KnownStack("dev", frozenset({OURS.instance}), frozenset({"held"}))
KNOWN = Known((DEV, KnownStack("prod", frozenset())))
UPDATING = Known((KnownStack("dev", frozenset({OURS.instance}), busy=True),))
MINE, COLLEAGUES = OURS.name("comfyui-dev-gpu"), OTHERS.name("comfyui-dev-gpu")


@pytest.mark.parametrize(
    ("thing", "known", "standing", "stack"),
    [
        (a_pod("held", MINE), KNOWN, Standing.HELD, "dev"),
        (a_pod("held", "renamed-by-hand"), KNOWN, Standing.HELD, "dev"),
        (a_pod("lost", MINE), KNOWN, Standing.ORPHAN, "dev"),
        (a_pod("lost", "renamed", env={"COMFYUI_RUNPOD_MARKER": str(OURS)}), KNOWN, Standing.ORPHAN, "dev"),
        (a_pod("new", MINE), UPDATING, Standing.BUSY, "dev"),
        (a_pod("theirs", COLLEAGUES), KNOWN, Standing.FOREIGN, ""),
        (a_pod("hand"), KNOWN, Standing.UNMARKED, ""),
        (a_volume("lost", OURS.name("m")), KNOWN, Standing.ORPHAN, "dev"),
    ],
)
def test_whose_a_thing_is(thing: Thing, known: Known, standing: Standing, stack: str) -> None:
    judged = judge(an_item(thing), known)
    assert (judged.standing, judged.stack) == (standing, stack)


@pytest.mark.parametrize(
    ("thing", "named", "ends"),
    [
        (a_pod("held", MINE), Named(frozenset({"held"})), False),
        (a_pod("lost", MINE), Named(), True),
        (a_pod("theirs", COLLEAGUES), Named(), False),
        (a_pod("theirs", COLLEAGUES), Named(frozenset({"theirs"})), True),
        (a_pod("hand"), Named(), False),
        (a_pod("hand"), Named(volumes=frozenset({"hand"})), False),
        (a_pod("hand"), Named(frozenset({"hand"})), True),
        (a_volume("lost", OURS.name("m")), Named(), False),
        (a_volume("lost", OURS.name("m")), Named(frozenset({"lost"})), False),
        (a_volume("lost", OURS.name("m")), Named(volumes=frozenset({"lost"})), True),
    ],
)
def test_what_a_sweep_may_end(thing: Thing, named: Named, ends: bool) -> None:
    assert may_end(judge(an_item(thing), KNOWN), named) is ends


def test_what_an_update_may_be_making_is_left_alone_even_when_named() -> None:
    assert not may_end(judge(an_item(a_pod("new", MINE)), UPDATING), Named(frozenset({"new"})))


def test_a_pod_that_runpod_reports_as_ended_is_nothing_to_judge() -> None:
    assert judge_all([an_item(a_pod("p", MINE, status="TERMINATED"))], KNOWN) == []


def survey(*things: Thing) -> sweep.Survey:
    return sweep.Survey(judge_all([an_item(thing) for thing in things], KNOWN), ("prod",))


def test_a_sweep_tells_each_loose_thing_with_its_price_and_sums_up() -> None:
    found = survey(a_pod("lost", MINE), a_pod("theirs", COLLEAGUES), a_pod("held", MINE))
    text = "\n".join(sweep.lines(found, Named(), act=False))
    assert "would end pod lost" in text
    assert "$12.00/day: carries the mark of a stack of ours and is in no state (dev)" in text
    assert "leaves pod theirs" in text
    assert "held" not in text
    assert "the state of prod cannot be read" in text
    assert text.endswith("1 to end, $12.00/day; YES=1 ends them")
    assert sweep.lines(survey(), Named(), act=False)[-1].startswith("nothing to end")


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (Named(frozenset({"nobody"})), "nothing called nobody"),
        (Named(frozenset({"held"})), "make destroy ENV=dev"),
        (Named(frozenset({"volume"})), "name it in VOLUMES"),
    ],
)
def test_a_name_that_cannot_be_meant_is_refused(named: Named, reason: str) -> None:
    with pytest.raises(CliError, match=reason):
        sweep.check(survey(a_pod("held", MINE), a_volume("volume")).judged, named)
