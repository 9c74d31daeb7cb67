from __future__ import annotations

from pathlib import Path

from components.runpod.intents import Intents
from components.runpod.marker import new_marker
from tests.unit.components.runpod.clock import FakeClock

GUARD = "0123456789"


def test_a_record_outlives_the_process(tmp_path: Path, clock: FakeClock) -> None:
    marker = new_marker(GUARD, "urn:a")
    Intents(tmp_path, clock.time).post(marker, "urn:a")
    clock.now += 5
    again = Intents(tmp_path, clock.time)
    (found,) = again.of(GUARD, "urn:a")
    assert found.parsed == marker
    assert again.age(found) == 5


def test_what_the_state_holds_stays_on_record_until_it_is_gone(intents: Intents) -> None:
    intents.placed(intents.post(new_marker(GUARD, "urn:a"), "urn:a"), "pod1")
    intents.seen_in_state("pod1")
    assert [record.in_state for record in intents.of(GUARD, "urn:a")] == [True]
    intents.forget("pod1")
    assert intents.of(GUARD, "urn:a") == []


def test_other_resources_and_instances_are_left_alone(intents: Intents) -> None:
    for guard, urn in ((GUARD, "urn:a"), (GUARD, "urn:b"), ("f" * 10, "urn:a")):
        intents.post(new_marker(guard, urn), urn)
    intents.drop_instance(GUARD)
    assert intents.of(GUARD, "urn:a") == []
    assert len(intents.of("f" * 10, "urn:a")) == 1


def test_a_damaged_record_counts_as_lost(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "y.json").write_text('{"marker": "m", "urn": "u", "posted_at": 0}')
    assert Intents(tmp_path, clock.time).of(GUARD, "urn:a") == []
