"""A pod's way to readiness."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.runpod.api.errors import RunPodError
from components.runpod.api.models import Pod
from components.runpod.marker import new_marker
from components.runpod.plugin.base.resource import NotReadyError, ProviderOperation
from components.runpod.plugin.pods.pod_spec import PodSpec
from components.runpod.plugin.pods.readiness import PodReadiness, UnfitError
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.conftest import URN
from tests.unit.components.runpod.fake_api import FakeApi, Reply, pod, problem
from tests.unit.components.runpod.plugin.resources.marked_pods import (
    GUARD,
    KIND,
    WITHOUT_GPUS,
    wait,
)
from tests.unit.components.runpod.pod_inputs import DECLARED


def test_status_running_alone_is_not_ready(api: FakeApi, operation: ProviderOperation) -> None:
    no_ssh = {"proxy": None, "direct": None}
    api.answer(
        problem(404, "pod not found"),
        Reply(body=pod(status="PROVISIONING", runtime=None)),
        Reply(body=pod(runtime=None)),
        Reply(body=pod(ssh=no_ssh)),
        Reply(body=pod()),
    )
    assert wait(operation).id == "pod1"


def test_the_container_before_a_reset_does_not_count(api: FakeApi, operation: ProviderOperation) -> None:
    before = Pod.model_validate(pod())
    api.answer(Reply(body=pod()), Reply(body=pod(startedAt="2026-11-22T00:01:00Z")))
    assert wait(operation, before).started_at == "2026-11-22T00:01:00Z"


@pytest.mark.parametrize("direct", [True, False])
def test_a_cpu_pod_whose_runtime_stays_empty_is_ready(
    api: FakeApi, operation: ProviderOperation, *, direct: bool
) -> None:
    cpu = {"gpu": None, "cpu": {"id": "cpu5g", "vcpuCount": 2}, "runtime": None, "ports": ["22/tcp"]}
    api.otherwise = lambda _request: Reply(body=pod(**cpu, **({} if direct else {"ssh": {"direct": None}})))
    declared = {**{k: v for k, v in KIND.defaults.items() if v is not None}, **DECLARED}
    inputs = {**declared, "computeType": "CPU", "cpuFlavorIdList": ["cpu5g"], "ports": "22/tcp" if direct else ""}
    readiness = PodReadiness(replace(operation, timeout=60.0), operation.client(), PodSpec.parse(inputs))
    assert readiness.wait("pod1").cpu is not None


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (pod(runtime={**WITHOUT_GPUS, "uptime": 60}), r"still lacks its GPUs \(0 of 1 shown"),
        (pod(runtime=None), r"costs 0\.270 USD/h but still lacks a running container after"),
    ],
)
def test_waiting_is_bounded_and_says_what_was_missing(
    api: FakeApi, operation: ProviderOperation, reply: dict[str, object], reason: str
) -> None:
    api.answer(*[Reply(body=reply)] * 200)
    with pytest.raises(UnfitError, match=reason):
        wait(replace(operation, timeout=60.0))
    api.replies.clear()


def test_an_unready_pod_is_recorded_by_the_engine(api: FakeApi, operation: ProviderOperation, clock: FakeClock) -> None:
    inputs = {**{k: v for k, v in KIND.defaults.items() if v is not None}, **DECLARED}

    def interrupt(_now: float) -> None:
        raise RunPodError("interrupted")

    clock.on_sleep = interrupt
    created = pod(name=new_marker(GUARD, URN).name("gpu"), status="PROVISIONING", runtime=None)
    api.answer(Reply(body={"pods": []}), Reply(201, created), Reply(body=created))
    with pytest.raises(NotReadyError, match="interrupted") as caught:
        KIND.create(operation, inputs)
    assert caught.value.resource_id == "pod1"
    assert caught.value.outputs["status"] == "PROVISIONING"
