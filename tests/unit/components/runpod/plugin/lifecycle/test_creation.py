"""Creation, with RunPod played by a list of things whose answers can be lost or late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from components.runpod.api.errors import LostAnswerError, PaymentRequiredError, UnreachableError
from components.runpod.intents import Intents
from components.runpod.marker import Marker, new_marker
from components.runpod.placement import NoCandidateLeftError
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.lifecycle.creation import Creation
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.conftest import URN, Lines
from tests.unit.components.runpod.scripted_cloud import CANDIDATES, GUARD, Cloud, Thing, create


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def test_the_intent_is_on_disk_before_the_post(operation: ProviderOperation, cloud: Cloud, intents: Intents) -> None:
    seen: list[int] = []
    cloud.faults = [lambda _thing: seen.append(len(intents.of(GUARD, URN)))]
    made = create(operation, cloud)
    assert seen == [1]
    (record,) = intents.of(GUARD, URN)
    assert (record.resource_id, record.in_state) == (made.id, False)


def test_a_lost_answer_is_searched_for_before_a_second_post(operation: ProviderOperation, cloud: Cloud) -> None:
    cloud.faults = [cloud.lose_after_effect]
    assert create(operation, cloud).id == "t1"
    assert cloud.posts == 1


def test_a_late_effect_within_the_bound_is_found(operation: ProviderOperation, cloud: Cloud, clock: FakeClock) -> None:
    late: list[Thing] = []

    def arrive(now: float) -> None:
        if now >= 1_030 and late:
            cloud.things.append(late.pop())

    def lose(thing: Thing) -> None:
        late.append(thing)
        raise LostAnswerError("POST", "reset")

    clock.on_sleep, cloud.faults = arrive, [lose]
    assert create(operation, cloud).id == "t1"
    assert cloud.posts == 1
    assert 1_030 <= clock.now < 1_060


def test_a_post_without_effect_is_repeated_after_the_bound(
    operation: ProviderOperation, cloud: Cloud, clock: FakeClock
) -> None:
    cloud.faults = [cloud.lose_before_effect]
    assert create(operation, cloud).id == "t2"
    assert clock.now >= 1_060


def test_posts_are_bounded_and_the_record_stays(operation: ProviderOperation, cloud: Cloud, intents: Intents) -> None:
    cloud.faults = [cloud.lose_before_effect] * 3
    with pytest.raises(LostAnswerError):
        create(operation, cloud)
    assert cloud.posts == 3
    assert len(intents.of(GUARD, URN)) == 1


def test_a_failed_search_after_a_lost_answer_keeps_the_record(
    operation: ProviderOperation, cloud: Cloud, intents: Intents
) -> None:
    def fail() -> list[Thing]:
        raise UnreachableError("GET", "its host name cannot be resolved")

    marker = new_marker(GUARD, URN)
    intents.post(marker, URN)  # So that the first look, before any POST, is of no interest here.
    looks: Iterator[Callable[[], list[Thing]]] = iter([list, list, fail])

    def look() -> list[Thing]:
        return next(looks)()

    ops = replace(cloud.ops(), list=look)
    cloud.faults = [cloud.lose_after_effect]
    with pytest.raises(UnreachableError):
        Creation(replace(operation, settings=replace(operation.settings, late_effect_seconds=0)), ops, GUARD).run(
            lambda: CANDIDATES
        )
    assert [record.marker for record in intents.of(GUARD, URN)] == [str(marker)]


def test_a_leftover_of_a_killed_run_is_adopted(
    operation: ProviderOperation, cloud: Cloud, intents: Intents, lines: Lines
) -> None:
    marker = new_marker(GUARD, URN)
    intents.post(marker, URN)
    cloud.things.append(Thing("left", marker))
    assert create(operation, cloud).id == "left"
    assert cloud.posts == 0
    assert any("adopting thing left" in line for line in lines.shown)


def test_a_leftover_that_does_not_match_is_deleted(
    operation: ProviderOperation, cloud: Cloud, intents: Intents
) -> None:
    marker = new_marker(GUARD, URN)
    intents.placed(intents.post(marker, URN), "left")
    cloud.things.append(Thing("left", marker, gpu="b"))
    cloud.wanted = "a"
    assert create(operation, cloud).id == "t1"
    assert [thing.id for thing in cloud.things] == ["t1"]
    assert [record.resource_id for record in intents.of(GUARD, URN)] == ["t1"]


def test_a_late_effect_of_a_killed_run_is_awaited(
    operation: ProviderOperation, cloud: Cloud, intents: Intents, clock: FakeClock
) -> None:
    marker = new_marker(GUARD, URN)
    intents.post(marker, URN)
    clock.on_sleep = lambda now: cloud.things.append(Thing("late", marker)) if now >= 1_040 else None
    assert create(operation, cloud).id == "late"
    assert cloud.posts == 0


def test_a_resource_in_the_state_is_never_adopted(operation: ProviderOperation, cloud: Cloud, intents: Intents) -> None:
    marker = new_marker(GUARD, URN)
    intents.placed(intents.post(marker, URN), "old")
    intents.seen_in_state("old")
    cloud.things.append(Thing("old", marker))
    assert create(operation, cloud).id == "t1"
    assert {thing.id for thing in cloud.things} == {"old", "t1"}


def test_a_leftover_without_a_record_is_adopted(operation: ProviderOperation, cloud: Cloud) -> None:
    cloud.things.append(Thing("left", new_marker(GUARD, URN)))
    assert create(operation, cloud).id == "left"


def test_a_replacement_without_a_record_only_reports_leftovers(
    operation: ProviderOperation, cloud: Cloud, lines: Lines
) -> None:
    cloud.things.append(Thing("maybe-in-state", new_marker(GUARD, URN)))
    replacing = replace(operation, ids_in_state=frozenset({"old"}))
    assert create(replacing, cloud).id == "t1"
    assert {thing.id for thing in cloud.things} == {"maybe-in-state", "t1"}
    assert any(line.startswith("warning: thing maybe-in-state") for line in lines.shown)


@pytest.mark.parametrize("marker", [new_marker("f" * 10, URN), new_marker(GUARD, "urn:other")])
def test_other_stacks_and_resources_are_left_alone(operation: ProviderOperation, cloud: Cloud, marker: Marker) -> None:
    cloud.things.append(Thing("theirs", marker))
    assert create(operation, cloud).id == "t1"
    assert len(cloud.things) == 2


def test_a_refusal_of_all_candidates_leaves_no_record(
    operation: ProviderOperation, cloud: Cloud, intents: Intents
) -> None:
    cloud.faults = [cloud.refuse, cloud.refuse]
    with pytest.raises(NoCandidateLeftError):
        create(operation, cloud)
    assert intents.of(GUARD, URN) == []


def test_an_empty_balance_stops_at_once(operation: ProviderOperation, cloud: Cloud) -> None:
    def broke(_thing: Thing) -> None:
        raise PaymentRequiredError("POST", "balance too low")

    cloud.faults = [broke]
    with pytest.raises(PaymentRequiredError, match="add credit"):
        create(operation, cloud)
    assert cloud.posts == 1


def elsewhere(operation: ProviderOperation, clock: FakeClock) -> ProviderOperation:
    """Return an operation on a machine without records, whose state says that a creation was begun a minute ago."""
    return replace(operation, pending={URN: clock.now - 60})


def test_a_late_effect_of_another_machines_run_is_adopted(
    operation: ProviderOperation, cloud: Cloud, clock: FakeClock
) -> None:
    late = Thing("late", new_marker(GUARD, URN))
    clock.on_sleep = lambda now: cloud.things.append(late) if now >= 1_040 and late not in cloud.things else None
    assert create(elsewhere(operation, clock), cloud).id == "late"
    assert cloud.posts == 0


def test_a_creation_without_effect_on_another_machine_is_repeated(
    operation: ProviderOperation, cloud: Cloud, clock: FakeClock
) -> None:
    assert create(elsewhere(operation, clock), cloud).id == "t1"
    assert 1_060 <= clock.now < 1_070


def test_a_pending_creation_of_another_resource_is_not_awaited(
    operation: ProviderOperation, cloud: Cloud, clock: FakeClock
) -> None:
    assert create(replace(operation, pending={"urn:other": clock.now}), cloud).id == "t1"
    assert clock.slept == []


def test_an_old_pending_creation_is_not_awaited(operation: ProviderOperation, cloud: Cloud, clock: FakeClock) -> None:
    clock.now += 100_000
    create(replace(operation, pending={URN: clock.now - 90_000}), cloud)
    assert clock.slept == []


def test_another_machines_leftover_that_does_not_match_is_deleted(
    operation: ProviderOperation, cloud: Cloud, clock: FakeClock
) -> None:
    cloud.things.append(Thing("left", new_marker(GUARD, URN), gpu="b"))
    cloud.wanted = "a"
    assert create(elsewhere(operation, clock), cloud).id == "t1"
    assert [thing.id for thing in cloud.things] == ["t1"]


def test_a_leftover_of_another_machines_replacement_is_adopted(
    operation: ProviderOperation, cloud: Cloud, clock: FakeClock
) -> None:
    cloud.things += [Thing("old", new_marker(GUARD, URN)), Thing("left", new_marker(GUARD, URN))]
    replacing = replace(elsewhere(operation, clock), ids_in_state=frozenset({"old"}))
    assert create(replacing, cloud).id == "left"
    assert {thing.id for thing in cloud.things} == {"old", "left"}
