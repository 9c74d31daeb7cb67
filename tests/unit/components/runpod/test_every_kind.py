"""What holds for every kind, tried against the emulator, which holds every call against RunPod's document."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components import runpod
from components.runpod import account_keys
from components.runpod.api.client import Client
from components.runpod.api.collection import Collection
from components.runpod.api.errors import CallError, RunPodError
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.cloud import Begin, KilledError, begin, checked, cloud
from tests.unit.components.runpod.emulated import RunPod, emulated
from tests.unit.components.runpod.every_kind import CASES, GUARD, Case

__all__ = ["begin", "cloud"]
"""Fixtures."""

SCHEMA: dict[str, Any] = json.loads(Path(runpod.__file__).with_name("schema.json").read_text())
MANY_CALLS = 40
DRIFTING = [case for case in CASES if case.drift]


def existing(cloud: RunPod) -> list[str]:
    """What exists, by id; an SSH key's id is its comment."""
    return [thing.id for thing in cloud.things()] + [account_keys.comment(key) for key in cloud.ssh_keys()]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_create_read_update_and_delete(case: Case, cloud: RunPod, begin: Begin) -> None:
    kind, operation = case.kind, begin(case)
    inputs = checked(case, operation)
    identity, state = kind.create(operation, inputs)
    assert set(state) == set(SCHEMA["resources"][kind.token]["properties"])
    assert not kind.diff(state, inputs)
    found = kind.read(operation, identity, state, inputs)
    assert found is not None
    assert not kind.diff(found.outputs, inputs), "a second preview is empty"
    assert set(found.outputs) == set(state)
    for name, value in case.updates.items():
        assert name in kind.diff(state, {**inputs, name: value}).updates, name
    changed = checked(case, operation, **case.updates)
    state = kind.update(operation, identity, state, changed)
    found = kind.read(operation, identity, state, changed)
    assert found is not None
    assert not kind.diff(found.outputs, changed)
    assert kind.diff(state, {**changed, **case.replaces}).replaces
    kind.delete(operation, identity, state)
    assert existing(cloud) == []
    assert kind.read(operation, identity, state, changed) is None


@pytest.mark.parametrize("case", DRIFTING, ids=str)
def test_drift_shows_and_is_repaired(case: Case, begin: Begin) -> None:
    kind, operation = case.kind, begin(case)
    inputs = checked(case, operation)
    identity, state = kind.create(operation, inputs)
    somebody_else(operation.client(), case, identity)
    found = kind.read(operation, identity, state, inputs)
    assert found is not None
    changes = kind.diff(found.outputs, inputs)
    assert len(changes.updates) >= len(case.drift)
    assert not changes.replaces
    kind.update(operation, identity, found.outputs, inputs)
    found = kind.read(operation, identity, state, inputs)
    assert found is not None
    assert not kind.diff(found.outputs, inputs)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(
    "fault",
    [{"reset_after": True}, {"reset_before": True}, {"status": 500, "effect": True}, {"late_seconds": 3}],
    ids=lambda fault: next(iter(fault)),
)
def test_a_lost_answer_creates_one_resource(case: Case, fault: dict[str, Any], cloud: RunPod, begin: Begin) -> None:
    operation = begin(case)
    cloud.fail({"method": case.verb, "path": f"^{case.path}$", "times": 1, "do": fault})
    identity, _ = case.kind.create(operation, checked(case, operation))
    assert existing(cloud) == [identity]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("answered", [True, False], ids=["answered", "killed-in-flight"])
def test_killed_before_any_call_of_a_creation_the_next_run_makes_one(
    case: Case, answered: bool, cloud: RunPod, begin: Begin
) -> None:
    inputs = checked(case, begin(case))
    for call in range(1, MANY_CALLS):
        if not answered:
            cloud.fail({"method": case.verb, "path": f"^{case.path}$", "times": 1, "do": {"reset_after": True}})
        try:
            case.kind.create(begin(case, call), inputs)
        except KilledError:
            survived = False
        else:
            survived = True
        cloud.fail()
        if survived:
            assert call > 2, "it was killed at least before the first and before the second call"
            return
        operation = begin(case)
        identity, state = case.kind.create(operation, inputs)
        assert existing(cloud) == [identity], f"killed before call {call}"
        case.kind.delete(operation, identity, state)
        assert existing(cloud) == []
    pytest.fail("a creation of that many calls")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_resources_of_others_are_kept(case: Case, cloud: RunPod, begin: Begin) -> None:
    theirs = checked(case, begin(case), guard="9876543210")
    identity, _ = case.kind.create(begin(case), theirs)
    operation = begin(case)
    ours, state = case.kind.create(operation, checked(case, operation))
    case.kind.delete(operation, ours, state)
    assert existing(cloud) == [identity]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_accepted_deletion_without_effect_is_detected(case: Case, cloud: RunPod, begin: Begin) -> None:
    operation = begin(case)
    identity, state = case.kind.create(operation, checked(case, operation))
    path = case.path if case.verb == "PUT" else f"{case.path}/"
    body: dict[str, Any] | None = {"keys": []} if case.verb == "PUT" else None
    lie = {"status": 200 if body else 204, "body": body}
    cloud.fail({"method": "PUT" if body else "DELETE", "path": f"^{path}", "do": lie})
    with pytest.raises(RunPodError, match=r"still exists|overwritten"):
        case.kind.delete(replace(operation, timeout=3.0), identity, state)
    cloud.fail()
    case.kind.delete(operation, identity, state)
    assert existing(cloud) == []


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("status", [402, 422])
def test_a_refusal_is_not_retried(case: Case, status: int, cloud: RunPod, begin: Begin) -> None:
    operation = begin(case)
    inputs = checked(case, operation)
    cloud.fail({"method": case.verb, "path": f"^{case.path}$", "do": {"status": status}})
    with pytest.raises(CallError, match=str(status)):
        case.kind.create(operation, inputs)
    assert cloud.calls(case.verb, case.path) == 1
    assert existing(cloud) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_guard_deletes_leftovers(case: Case, cloud: RunPod, begin: Begin) -> None:
    case.kind.create(begin(case), checked(case, begin(case)))
    other, _ = case.kind.create(begin(case), checked(case, begin(case), guard="9876543210"))
    runpod_guard = Case("guard", "StackGuard", "", {}).kind
    runpod_guard.delete(replace(begin(case), urn="urn"), GUARD, {})
    assert existing(cloud) == [other]


def somebody_else(client: Client, case: Case, identity: str) -> None:
    """Change it behind the stack's back."""
    if case.token == "Pod":
        client.update_pod(identity, case.drift)
        return
    collections: dict[str, Collection[Any]] = {
        "NetworkVolume": client.network_volumes, "Template": client.templates, "Endpoint": client.endpoints,
    }  # fmt: skip
    collections[case.token].update(identity, case.drift)


def test_the_emulator_keeps_everything_over_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    for run in range(2):
        with emulated(tmp_path / "kept", clock) as cloud, closing(Client("rpa_canary", cloud.url)) as client:
            if not run:
                client.templates.create({"name": "t", "image": "i"})
                client.registries.create({"name": "r", "username": "u", "password": "canary"})
                body = {"name": "e", "type": "QUEUE", "image": "i", "gpu": {"pools": ["ADA_24"]}, "workers": {"min": 1}}
                client.endpoints.create({**body, "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4}})
                client.replace_ssh_keys(["ssh-ed25519 AAAA theirs"])
            (endpoint,) = client.endpoints.all()
            assert [len(client.templates.all()), len(client.registries.all()), len(client.list_ssh_keys())] == [1, 1, 1]
            assert len(client.list_workers(endpoint.id)) == 1
    assert b"canary" not in (tmp_path / "kept" / "state.json").read_bytes()
