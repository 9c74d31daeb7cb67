"""A pod that shows fewer GPUs than it was rented with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.runpod.marker import ENV_NAME
from components.runpod.plugin.base.resource import NotReadyError, ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.conftest import Lines
from tests.unit.components.runpod.fake_api import FakeApi, Reply, pod
from tests.unit.components.runpod.plugin.resources.marked_pods import (
    KIND,
    MARKER,
    WITHOUT_GPUS,
    bare_pod,
    named_pod,
    wait,
)
from tests.unit.components.runpod.pod_inputs import DECLARED, checked


def refreshed(
    api: FakeApi, operation: ProviderOperation, state: dict[str, Any], *looks: dict[str, object]
) -> dict[str, Any]:
    """Return the state after a refresh that sees the pod so."""
    api.answer(*[Reply(body=look) for look in looks], Reply(body={"pods": list(looks)}))
    found = KIND.read(operation, "pod1", {"marker": str(MARKER), **state}, {**DECLARED})
    assert found is not None
    assert found.inputs["gpuCount"] == 1
    return found.outputs


def test_missing_gpus_replace_the_pod_only_after_the_limit(
    api: FakeApi, operation: ProviderOperation, clock: FakeClock, lines: Lines
) -> None:
    inputs = checked(replace(operation, settings=ProviderSettings()))
    state = refreshed(api, operation, {}, bare_pod())
    assert not KIND.diff(state, inputs), "a refresh alone never replaces a pod"
    assert KIND.decide(operation, "pod1", {**state, **inputs}, inputs).replaces == ()
    assert any("shows no GPU" in line and "replaces it if that lasts" in line for line in lines.shown)

    clock.now += operation.settings.gpu_missing_seconds
    assert refreshed(api, operation, state, bare_pod())["gpusMissingSince"] == state["gpusMissingSince"]
    api.answer(Reply(body=bare_pod()), Reply(body={"pods": [bare_pod()]}))
    assert KIND.decide(operation, "pod1", {**state, **inputs}, inputs).replaces == ("gpuCount",)


def test_gpus_missing_in_one_answer_only_are_present(
    api: FakeApi, operation: ProviderOperation, clock: FakeClock
) -> None:
    inputs = checked(replace(operation, settings=ProviderSettings()))
    state = refreshed(api, operation, {}, bare_pod())
    clock.now += operation.settings.gpu_missing_seconds
    api.answer(Reply(body=bare_pod()), Reply(body={"pods": [named_pod()]}))
    assert KIND.decide(operation, "pod1", {**state, **inputs}, inputs).replaces == ()


def test_returned_gpus_reset_the_limit(api: FakeApi, operation: ProviderOperation, clock: FakeClock) -> None:
    inputs = checked(replace(operation, settings=ProviderSettings()))
    state = refreshed(api, operation, {}, bare_pod())
    clock.now += 10 * operation.settings.gpu_missing_seconds
    state = refreshed(api, operation, state, named_pod())
    assert state["gpusMissingSince"] == ""
    assert KIND.decide(operation, "pod1", {**state, **inputs}, inputs).replaces == ()


def test_a_restarted_pod_without_gpus_is_recorded(api: FakeApi, operation: ProviderOperation, clock: FakeClock) -> None:
    env = {"A": "1", ENV_NAME: str(MARKER)}
    bare = pod(name=MARKER.name("gpu"), env=env, runtime={**WITHOUT_GPUS, "ports": pod()["runtime"]["ports"]})
    stopped = {**bare, "status": "EXITED", "runtime": None}
    patient = replace(operation, settings=replace(operation.settings, gpu_missing_seconds=20))
    looks = [Reply(body=bare)] * 13  # The last of them is the second look at the end of the bound.
    api.answer(Reply(body=stopped), Reply(body={**stopped, "status": "STARTING"}), *looks, Reply(body={"pods": [bare]}))
    inputs = checked(replace(operation, settings=ProviderSettings()))
    with pytest.raises(NotReadyError, match=r"shows 0 of 1 GPUs for 2\d s") as caught:
        KIND.update(patient, "pod1", {"marker": str(MARKER)}, inputs)
    assert clock.now >= 1_020
    state = caught.value.outputs
    api.answer(Reply(body=bare), Reply(body={"pods": [bare]}))
    assert KIND.decide(patient, "pod1", state, inputs).replaces == ("gpuCount",), "the next update replaces it"


def test_a_late_list_of_gpus_is_awaited(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(*[Reply(body=bare_pod(uptime=60, ports=pod()["runtime"]["ports"]))] * 9, Reply(body=pod()))
    assert wait(operation).id == "pod1"
