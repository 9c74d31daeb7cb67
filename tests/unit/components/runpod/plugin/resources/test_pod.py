"""The difference between a pod and its inputs, and what a change patches or replaces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.runpod.api.errors import RunPodError
from components.runpod.marker import ENV_NAME
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from components.runpod.plugin.pods.pod_spec import PodSpec
from components.runpod.plugin.pods.pod_state import observe
from tests.unit.components.runpod.conftest import Lines
from tests.unit.components.runpod.fake_api import FakeApi, Reply, problem
from tests.unit.components.runpod.plugin.resources.marked_pods import (
    KIND,
    MARKER,
    WISH,
    live,
)
from tests.unit.components.runpod.pod_inputs import DECLARED, checked


def test_a_pod_as_declared_has_no_changes(offline: ProviderOperation) -> None:
    inputs = checked(offline)
    assert not KIND.diff(observe(live(), inputs, MARKER, ProviderSettings()), inputs)


@pytest.mark.parametrize(
    ("drift", "name"),
    [
        ({"image": "other"}, "imageName"),
        ({"args": "other"}, "dockerArgs"),
        ({"disk": 31}, "containerDiskInGb"),
        ({"ports": ["8189/http"]}, "ports"),
        ({"env": {"A": "2", ENV_NAME: str(MARKER)}}, "env"),
        ({"env": {"A": "1"}}, "env"),
        ({"env": {"A": "1", ENV_NAME: str(MARKER), "B": "theirs"}}, "env"),
        ({"name": "other"}, "name"),
        ({"status": "EXITED", "runtime": None}, "status"),
    ],
)
def test_drift_shows_in_what_a_refresh_stores(offline: ProviderOperation, drift: dict[str, object], name: str) -> None:
    inputs = checked(offline)
    changes = KIND.diff(observe(live(**drift), inputs, MARKER, ProviderSettings()), inputs)
    assert changes.updates == (name,)
    assert not changes.replaces


def test_the_order_of_ports_and_candidates_means_nothing(offline: ProviderOperation) -> None:
    state = observe(live(), checked(offline), MARKER, ProviderSettings())
    turned = checked(offline, ports="22/tcp,8189/http", gpuTypeIdList=DECLARED["gpuTypeIdList"][::-1])
    assert not KIND.diff(state, turned)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"gpuTypeIdList": ["NVIDIA GeForce RTX 4090"]}, "gpuTypeIdList"),
        ({"gpuCount": 2}, "gpuCount"),
        ({"dataCenterIds": ["US-KS-2"]}, "dataCenterIds"),
        ({"networkVolumeId": "other"}, "networkVolumeId"),
        ({"networkVolumeId": UNKNOWN}, "networkVolumeId"),
        ({"minCudaVersion": "12.11"}, "minCudaVersion"),
        ({"allowedCudaVersions": ["12.4"]}, "allowedCudaVersions"),
        ({"guard": "f" * 10}, "guard"),
    ],
)
def test_immutable_inputs_replace_the_pod(offline: ProviderOperation, change: dict[str, Any], name: str) -> None:
    inputs = checked(offline)
    state = observe(live(), inputs, MARKER, ProviderSettings())
    assert KIND.diff(state, {**inputs, **change}).replaces == (name,)


@pytest.mark.parametrize(("requirement", "what"), [("start", "updates"), ("replace", "replaces")])
def test_a_stopped_pod_is_started_again_or_replaced(offline: ProviderOperation, requirement: str, what: str) -> None:
    inputs = checked(offline, whenStopped=requirement)
    for status in ("EXITED", "ERROR"):
        state = observe(live(status=status, runtime=None), inputs, MARKER, ProviderSettings())
        assert getattr(KIND.diff(state, inputs), what) == ("status",)
    starting = observe(live(status="STARTING", runtime=None), inputs, MARKER, ProviderSettings())
    assert KIND.diff(starting, inputs).updates == ("status",), "what comes up is awaited, whatever the wish"


def test_a_deferred_variable_resets_no_running_pod_and_a_preview_says_so(
    offline: ProviderOperation, lines: Lines
) -> None:
    inputs = checked(offline, env={"A": "1", "BOOT": "new"}, deferredEnv=["BOOT"])
    before = live(env={"A": "1", "BOOT": "old", ENV_NAME: str(MARKER)})
    state = observe(before, inputs, MARKER, ProviderSettings())
    assert not KIND.decide(offline, "pod1", state, inputs)
    assert ["BOOT changed; the new value takes effect with the next change" in line for line in lines.shown] == [True]
    assert PodSpec.parse(inputs).patch(before, MARKER) == {}


@pytest.mark.parametrize(
    ("change", "status"),
    [({"env": {"A": "2", "BOOT": "new"}}, "RUNNING"), ({"imageName": "image:2"}, "RUNNING"), ({}, "EXITED")],
    ids=["another-variable", "another-image", "a-start"],
)
def test_a_deferred_variable_is_applied_with_the_next_reset(
    offline: ProviderOperation, change: dict[str, Any], status: str
) -> None:
    inputs = checked(offline, **{"env": {"A": "1", "BOOT": "new"}, "deferredEnv": ["BOOT"], **change})
    before = live(env={"A": "1", "BOOT": "old", ENV_NAME: str(MARKER)}, status=status)
    assert KIND.diff(observe(before, inputs, MARKER, ProviderSettings()), inputs).updates
    assert PodSpec.parse(inputs).patch(before, MARKER)["env"]["BOOT"] == "new"


def test_a_rename_does_not_apply_deferred_variables(offline: ProviderOperation) -> None:
    inputs = checked(offline, name="other", env={"A": "1", "BOOT": "new"}, deferredEnv=["BOOT"])
    before = live(env={"A": "1", "BOOT": "old", ENV_NAME: str(MARKER)})
    assert PodSpec.parse(inputs).patch(before, MARKER) == {"name": MARKER.name("other")}


def test_white_space_that_runpod_normalises_is_no_change(offline: ProviderOperation) -> None:
    inputs = checked(offline, env={"A": "1", "BOOT": "set -eu\n  run it\n"})
    before = live(env={"A": "1", "BOOT": "set -eu run it", ENV_NAME: str(MARKER)})
    state = observe(before, inputs, MARKER, ProviderSettings())
    assert not KIND.diff(state, inputs)
    assert PodSpec.parse(inputs).patch(before, MARKER) == {}
    assert state["env"] == inputs["env"], "a refresh shows no drift either"


@pytest.mark.parametrize("ranked", [["NVIDIA A40"], [], ["NVIDIA RTX A5000", "NVIDIA A40"]])
def test_a_changed_ranking_replaces_nothing(offline: ProviderOperation, ranked: list[str]) -> None:
    before = checked(offline, gpuRequirement=WISH)
    state = observe(live(cost=0.99), before, MARKER, ProviderSettings())  # Its price has risen above the bound, too.
    inputs, failures = KIND.check(offline, before, {**DECLARED, "gpuTypeIdList": ranked, "gpuRequirement": WISH})
    assert failures == []
    assert not KIND.diff(state, inputs)


@pytest.mark.parametrize(
    ("change", "goes"),
    [
        ({"exclude": ["NVIDIA RTX A5000"]}, True),
        ({"minMemoryGb": 48}, True),
        ({"maxUsdPerHour": 0.2}, True),
        ({"tiers": ["High"]}, True),
        ({"maxUsdPerHour": 0.9}, False),
        ({"tiers": []}, False),
        ({"exclude": ["NVIDIA L4"]}, False),
    ],
)
def test_another_requirement_replaces_what_it_excludes(
    offline: ProviderOperation, change: dict[str, Any], goes: bool
) -> None:
    state = observe(live(), checked(offline, gpuRequirement=WISH), MARKER, ProviderSettings())
    inputs = checked(offline, gpuTypeIdList=["NVIDIA A40"], gpuRequirement=WISH | change)
    changes = KIND.diff(state, inputs)
    assert changes.updates == ("gpuRequirement",)
    assert (changes.replaces == ("gpuTypeIdList",)) is goes


def test_a_patch_of_the_environment_carries_marker_and_runpods_own(offline: ProviderOperation) -> None:
    body = PodSpec.parse(checked(offline, env={"A": "2"})).patch(live(), MARKER)
    assert body == {"env": {"A": "2", ENV_NAME: str(MARKER), "PUBLIC_KEY": "ssh-rsa theirs"}}


def test_a_preview_of_a_reset_does_not_promise_the_old_port(offline: ProviderOperation) -> None:
    state = observe(live(), checked(offline), MARKER, ProviderSettings())
    preview = KIND.preview_update(state, checked(offline, imageName="image:2"))
    assert preview["sshPort"] == UNKNOWN
    assert preview["podId"] == "pod1"
    assert preview["costPerHr"] == 0.27, "a reset changes no price"
    stopped = observe(live(status="EXITED", runtime=None, cost=0), checked(offline), MARKER, ProviderSettings())
    assert KIND.preview_update(stopped, checked(offline))["costPerHr"] == UNKNOWN


def test_a_state_older_than_an_input_replaces_nothing(offline: ProviderOperation) -> None:
    inputs = checked(offline)
    state = observe(live(), inputs, MARKER, ProviderSettings())
    assert not KIND.diff({name: value for name, value in state.items() if name != "gpuCount"}, inputs)


def test_a_stopped_pod_with_a_taken_gpu_is_an_error(api: FakeApi, operation: ProviderOperation) -> None:
    stopped = live(status="EXITED", runtime=None).model_dump(by_alias=True)
    api.answer(Reply(body=stopped), problem(400, "There are not enough free GPUs on the host machine"))
    with pytest.raises(RunPodError, match=r"not enough free GPUs .* whenStopped: replace"):
        KIND.update(
            operation, "pod1", {"marker": str(MARKER)}, checked(replace(operation, settings=ProviderSettings()))
        )


def test_urls_follow_the_template(offline: ProviderOperation) -> None:
    inputs = checked(offline)
    assert observe(live(), inputs, MARKER, ProviderSettings())["urls"] == {"8189": "https://pod1-8189.proxy.runpod.net"}
    local = ProviderSettings(proxy_url_template="http://127.0.0.1:{publicPort}")
    assert observe(live(), inputs, MARKER, local)["urls"] == {"8189": "http://127.0.0.1:30001"}


def test_a_vanished_pod_leaves_the_state(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(problem(404, "pod not found"))
    assert KIND.read(operation, "pod1", {}, {}) is None
