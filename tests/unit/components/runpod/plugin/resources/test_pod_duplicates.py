"""Copies of a pod, made by a repeated creation or by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.runpod.marker import Marker
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from tests.unit.components.runpod.conftest import URN, Lines
from tests.unit.components.runpod.fake_api import FakeApi, Reply, pod, problem
from tests.unit.components.runpod.plugin.resources.marked_pods import (
    KIND,
    MARKER,
    named_pod,
)
from tests.unit.components.runpod.pod_inputs import checked


def test_a_duplicate_is_reported_by_a_read_and_deleted_by_an_update(
    api: FakeApi, operation: ProviderOperation, lines: Lines
) -> None:
    inputs = checked(replace(operation, settings=ProviderSettings()))
    duplicate = named_pod(id="duplicate", createdAt="2026-11-22T00:01:30Z")
    api.answer(Reply(body=named_pod()), Reply(body={"pods": [named_pod(), duplicate]}))
    found = KIND.read(operation, "pod1", {"marker": str(MARKER)}, inputs)
    assert found is not None
    assert {request.method for request in api.requests} == {"GET"}, "a preview and a refresh end nothing"
    said = "pod duplicate has the marker of pod1 and is not in the state: it is billed; `pulumi up` deletes it"
    assert lines.shown == [f"warning: {said}"]
    assert KIND.diff(found.outputs, inputs).updates == ("duplicates",)
    assert KIND.preview_update(found.outputs, inputs)["sshPort"] == 4022, "the pod itself goes on"

    gone = [Reply(204), problem(404, "pod not found"), Reply(body={"pods": [named_pod()]})]
    api.answer(Reply(body=named_pod()), Reply(body={"pods": [named_pod(), duplicate]}), *gone, Reply(body=named_pod()))
    outputs = KIND.update(operation, "pod1", found.outputs, inputs)
    assert [r.path for r in api.requests if r.method != "GET"] == ["/v2/pods/duplicate"]
    assert not KIND.diff(outputs, inputs)


@pytest.mark.parametrize("created_at", ["2026-11-22T00:30:00Z", "2026-11-21T00:00:00Z", None, "soon"])
def test_a_copied_pod_is_reported_with_its_cost_and_kept(
    api: FakeApi, operation: ProviderOperation, lines: Lines, created_at: str | None
) -> None:
    """It carries the very same marker; nothing of ours was asked for at that time."""
    inputs = checked(replace(operation, settings=ProviderSettings()))
    operation.intents.placed(operation.intents.post(MARKER, URN), "pod1")
    copy = named_pod(id="copy", createdAt=created_at, cost=0.5)
    api.answer(Reply(body=named_pod()), Reply(body={"pods": [named_pod(), copy]}))
    found = KIND.read(operation, "pod1", {"marker": str(MARKER)}, inputs)
    assert found is not None
    [line] = lines.shown
    assert line.startswith("warning: pod copy has the marker of pod1 and was not created by this stack")
    assert "$0.50/h ($12.00/day)" in line
    assert "`make sweep IDS=copy`" in line
    assert not KIND.diff(found.outputs, inputs), "an update is not asked for what it does not do"

    api.answer(Reply(body=named_pod()), Reply(body={"pods": [named_pod(), copy]}), Reply(body=named_pod()))
    KIND.update(operation, "pod1", {**found.outputs, "duplicates": ["copy"]}, inputs)
    assert {request.method for request in api.requests} == {"GET"}, "also when an older version has noted it"


@pytest.mark.parametrize(
    ("saved", "told_by", "named"),
    [
        (None, "record", []),
        (frozenset({"pod1", "left"}), "record", []),
        (frozenset({"pod1"}), "record", ["left"]),
        (frozenset({"pod1"}), "state", ["left"]),
        (frozenset({"pod1"}), "nothing", []),
    ],
    ids=["state-not-read", "waits-for-its-deletion", "recorded-here", "begun-elsewhere", "in-no-record"],
)
def test_a_leftover_is_a_duplicate_when_the_state_is_readable(
    api: FakeApi, operation: ProviderOperation, saved: frozenset[str] | None, told_by: str, named: list[str]
) -> None:
    """A record or the state has to say that it is of a creation of this stack: others copy pods that were replaced."""
    marker = Marker(MARKER.instance, MARKER.urn, "00000000")
    if told_by == "record":
        operation.intents.post(marker, URN)
    left = pod(id="left", name=marker.name("gpu"))
    theirs = pod(id="theirs", name=Marker("f" * 10, MARKER.urn, MARKER.nonce).name("gpu"))
    api.answer(Reply(body=named_pod()), Reply(body={"pods": [named_pod(), left, theirs]}))
    pending = {URN: operation.wall()} if told_by == "state" else {}
    reading = replace(operation, saved_ids=lambda: saved, pending=pending)
    found = KIND.read(
        reading, "pod1", {"marker": str(MARKER)}, checked(replace(operation, settings=ProviderSettings()))
    )
    assert found is not None
    assert found.outputs["duplicates"] == named
