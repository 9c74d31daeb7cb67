"""What the engine's own state tells the provider, where it lies in files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.runpod.intents import Intents
from components.runpod.marker import new_marker
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.state_file import PENDING, STATE_IDS, ReportedState, SavedState, backend_folder
from tests.unit.components.runpod.conftest import URN, Lines
from tests.unit.components.runpod.scripted_cloud import GUARD, Cloud, Thing, create


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def written(folder: Path, text: str) -> SavedState:
    file = folder / ".pulumi" / "stacks" / "project" / "dev.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return SavedState(folder)


def test_ids_include_those_pending_deletion(tmp_path: Path) -> None:
    entries = [{"urn": URN, "id": "new"}, {"urn": URN, "id": "old", "delete": True}, {"urn": "urn:other", "id": "x"}]
    state = {"checkpoint": {"latest": {"resources": entries}}}
    assert written(tmp_path, json.dumps(state)).ids(URN) == frozenset({"new", "old"})


def test_a_new_stack_has_no_ids(tmp_path: Path) -> None:
    assert written(tmp_path, json.dumps({"checkpoint": {"latest": None}})).ids(URN) == frozenset()


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"checkpoint": 1})])
def test_an_unreadable_state_has_unknown_ids(tmp_path: Path, text: str) -> None:
    assert written(tmp_path, text).ids(URN) is None


def test_another_backend_has_unknown_ids(tmp_path: Path) -> None:
    assert backend_folder({"PULUMI_BACKEND_URL": f"file://{tmp_path}"}) == tmp_path
    assert backend_folder({"PULUMI_BACKEND_URL": "s3://bucket"}) is None
    assert SavedState(None).ids(URN) is None


def test_a_saved_unacknowledged_resource_is_not_adopted(
    operation: ProviderOperation, cloud: Cloud, intents: Intents
) -> None:
    marker = new_marker(GUARD, URN)
    intents.placed(intents.post(marker, URN), "saved")
    cloud.things.append(Thing("saved", marker))
    replacing = replace(operation, ids_in_state=frozenset({"saved"}), state_was_read=True)
    made = create(replacing, cloud)
    assert (made.id, made.marker == marker) == ("t1", False)
    assert {thing.id for thing in cloud.things} == {"saved", "t1"}


def test_with_the_state_read_a_leftover_needs_no_record(
    operation: ProviderOperation, cloud: Cloud, lines: Lines
) -> None:
    cloud.things += [Thing("saved", new_marker(GUARD, URN)), Thing("left", new_marker(GUARD, URN))]
    replacing = replace(operation, ids_in_state=frozenset({"saved"}), state_was_read=True)
    assert create(replacing, cloud).id == "left"
    assert not any(line.startswith("warning") for line in lines.shown)


def test_a_rolled_back_state_adopts_lost_resources(
    operation: ProviderOperation, cloud: Cloud, intents: Intents
) -> None:
    marker = new_marker(GUARD, URN)
    intents.placed(intents.post(marker, URN), "lost")
    intents.seen_in_state("lost")
    cloud.things.append(Thing("lost", marker))
    assert create(replace(operation, state_was_read=True), cloud).id == "lost"


def pending(*urns: str) -> str:
    noted = [{"type": "creating", "resource": {"urn": urn}} for urn in urns]
    other = {"type": "updating", "resource": {"urn": "urn:updated"}}
    return json.dumps({"checkpoint": {"latest": {"resources": [], "pending_operations": [*noted, other]}}})


def test_pending_creations_exclude_those_of_this_run(tmp_path: Path) -> None:
    checkpoint = written(tmp_path, pending(URN))
    assert checkpoint.pending(URN) == {URN: 0.0}
    (tmp_path / ".pulumi" / "stacks" / "project" / "dev.json").write_text(pending(URN, f"{URN}-2"))
    assert checkpoint.pending(f"{URN}-2") == {URN: 0.0}, "what the engine notes later is our own"


def test_reported_state_is_used_for_other_backends() -> None:
    told = [{"urn": URN, "instance": GUARD, "since": 4711.5}, {"urn": "", "since": 1}, 7]
    checkpoint = SavedState(None, ReportedState.parse({PENDING: json.dumps(told), STATE_IDS: '["a", "b"]'}))
    assert checkpoint.pending(URN) == {URN: 4711.5}
    assert checkpoint.ids(URN) == frozenset({"a", "b"})


@pytest.mark.parametrize("text", ["", "{", "{}", "7"])
def test_a_malformed_reported_state_is_ignored(text: str) -> None:
    checkpoint = SavedState(None, ReportedState.parse({PENDING: text, STATE_IDS: text}))
    assert (checkpoint.pending(URN), checkpoint.ids(URN)) == ({}, None)
