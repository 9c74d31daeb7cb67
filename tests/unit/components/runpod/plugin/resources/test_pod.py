"""A pod's inputs, its differences and its way to readiness."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.runpod.api.errors import RunPodError
from components.runpod.api.models import Pod
from components.runpod.marker import ENV_NAME, Marker, new_marker
from components.runpod.plugin.base.resource import NotReadyError, ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from components.runpod.plugin.pods.pod_spec import PodSpec
from components.runpod.plugin.pods.pod_state import observe
from components.runpod.plugin.pods.readiness import PodReadiness, UnfitError
from components.runpod.plugin.resources.pod import PodHandler
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.conftest import URN, Lines
from tests.unit.components.runpod.fake_api import FakeApi, Reply, pod, problem
from tests.unit.components.runpod.pod_inputs import DECLARED, checked

KIND = PodHandler()
WITHOUT_GPUS: dict[str, Any] = {"uptime": 9_000, "gpus": [], "ports": []}
GUARD = "0123456789"
MARKER = Marker(GUARD, "01234567", "89abcdef")


def live(**changes: object) -> Pod:
    env = {"A": "1", ENV_NAME: str(MARKER), "RUNPOD_POD_ID": "pod1", "PUBLIC_KEY": "ssh-rsa theirs"}
    return Pod.model_validate(pod(**{"name": MARKER.name("gpu"), "env": env, **changes}))


@pytest.fixture
def offline(operation: ProviderOperation) -> ProviderOperation:
    return replace(operation, settings=ProviderSettings())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpuTypeIdList": ["NVIDIA RTX 4090"]}, "did you mean 'NVIDIA GeForce RTX 4090'"),
        ({"gpuTypeIdList": []}, "at least one GPU type"),
        ({"ports": "8189"}, "'8189' is not a port such as 8189/http"),
        ({"ports": "99999/tcp"}, "is not a port"),
        ({"containerDiskInGb": 0}, "0 is not 1 to 10000 GB"),
        ({"gpuCount": 2.5}, "2.5 is not 1 to 16 GPUs"),
        ({"dataCenterIds": ["eu-ro-1"]}, "'eu-ro-1' is not a data centre id such as"),
        ({"cloudType": "ALL"}, "not one of SECURE, COMMUNITY"),
        ({"cloudType": "COMMUNITY", "networkVolumeId": "v"}, "needs SECURE"),
        ({"minCudaVersion": "12"}, "not a version such as 12.8"),
        ({"readyTimeoutSeconds": 5}, "5 is not 30 to 7200 seconds"),
        ({"env": {str(number): "x" for number in range(50)}}, "50 variables"),
        ({"imageName": None}, "imageName is required"),
        ({"gpuTypeId": "x"}, "gpuTypeId is not an input"),
    ],
)
def test_bad_input_is_named(offline: ProviderOperation, changes: dict[str, Any], reason: str) -> None:
    _, failures = KIND.check(offline, {}, {**DECLARED, **changes})
    assert len(failures) == 1
    assert reason in failures[0][1]


def test_a_value_of_the_environment_never_shows(offline: ProviderOperation) -> None:
    _, failures = KIND.check(offline, {}, {**DECLARED, "env": {"KEY": ["canary"]}})
    assert "KEY" in failures[0][1]
    assert "canary" not in failures[0][1]


def test_unknown_values_pass(offline: ProviderOperation) -> None:
    unknown = dict.fromkeys(("guard", "networkVolumeId", "gpuTypeIdList"), UNKNOWN)
    _, failures = KIND.check(offline, {}, {**DECLARED, **unknown})
    assert failures == []


def test_a_gpu_newer_than_the_price_file_is_looked_up(api: FakeApi, operation: ProviderOperation) -> None:
    gpu = {"id": "NVIDIA X1", "name": "X1", "memory": 99, "secure": True, "community": False}
    api.answer(Reply(body={"gpus": [{**gpu, "price": {"secure": 1, "community": 0}}]}))
    checked(operation, gpuTypeIdList=["NVIDIA X1"])


def test_a_region_without_the_gpu_is_refused_at_preview(api: FakeApi, operation: ProviderOperation) -> None:
    offers = [{"id": "US-KS-2", "name": "", "availability": "NONE"}]
    gpu = {"id": "NVIDIA RTX A5000", "name": "A5000", "memory": 24, "secure": True, "community": False}
    api.answer(Reply(body={"gpus": [{**gpu, "price": {"secure": 1, "community": 0}, "dataCenters": offers}]}))
    _, failures = KIND.check(operation, {}, {**DECLARED, "dataCenterIds": ["EU-RO-1"]})
    assert "NVIDIA RTX A5000 is offered in US-KS-2" in failures[0][1]


def test_a_running_pod_is_not_checked_against_todays_stock(api: FakeApi, operation: ProviderOperation) -> None:
    declared = {**DECLARED, "dataCenterIds": ["EU-RO-1"], "gpuCount": 1, "cloudType": "SECURE"}
    _, failures = KIND.check(operation, declared, declared)
    assert failures == []
    assert not api.requests


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


def bare_pod(**runtime: object) -> dict[str, object]:
    """Return a pod that shows no GPU."""
    return named_pod(runtime={**WITHOUT_GPUS, **runtime})


def named_pod(**changes: object) -> dict[str, object]:
    """Return a pod of the stack that is as it was declared."""
    return pod(**{"name": MARKER.name("gpu"), "env": {"A": "1", ENV_NAME: str(MARKER)}, **changes})


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


@pytest.mark.parametrize(("requirement", "what"), [("start", "updates"), ("replace", "replaces")])
def test_a_stopped_pod_is_started_again_or_replaced(offline: ProviderOperation, requirement: str, what: str) -> None:
    inputs = checked(offline, whenStopped=requirement)
    for status in ("EXITED", "ERROR"):
        state = observe(live(status=status, runtime=None), inputs, MARKER, ProviderSettings())
        assert getattr(KIND.diff(state, inputs), what) == ("status",)
    starting = observe(live(status="STARTING", runtime=None), inputs, MARKER, ProviderSettings())
    assert KIND.diff(starting, inputs).updates == ("status",), "what comes up is awaited, whatever the wish"


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


WISH: dict[str, Any] = {"minMemoryGb": 24, "maxUsdPerHour": 0.3, "tiers": ["Mid"], "exclude": []}


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


def test_a_requirement_that_nothing_meets_stops_a_new_pod_at_preview(offline: ProviderOperation) -> None:
    declared = {**DECLARED, "gpuTypeIdList": [], "gpuRequirement": WISH}
    _, failures = KIND.check(offline, {}, declared)
    assert "no GPU type has 24 GB or more for at most $0.30/h now" in failures[0][1]


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        ({"minMemoryGb": 24}, "maxUsdPerHour is missing"),
        (WISH | {"tiers": ["Cheap"]}, "tiers: 'Cheap' is not one of Budget, Mid"),
        (WISH | {"vram": 1}, "vram is not one of"),
        (WISH | {"maxUsdPerHour": 0}, "maxUsdPerHour: 0 is not a price above 0"),
    ],
)
def test_a_requirement_is_checked(offline: ProviderOperation, requirement: dict[str, Any], reason: str) -> None:
    _, failures = KIND.check(offline, {}, {**DECLARED, "gpuRequirement": requirement})
    assert reason in failures[0][1]


@pytest.mark.parametrize(
    "change",
    [
        {"gpuTypeIdList": [*DECLARED["gpuTypeIdList"], "NVIDIA A40"]},
        {"dataCenterIds": ["EU-RO-1", "US-KS-2"]},
        {"gpuTypeIdList": DECLARED["gpuTypeIdList"][::-1]},
    ],
    ids=["more-gpus", "more-data-centres", "another-order"],
)
def test_additional_choices_are_not_checked_against_stock(
    api: FakeApi, operation: ProviderOperation, change: dict[str, Any]
) -> None:
    olds = {**checked(replace(operation, settings=ProviderSettings())), "dataCenterIds": ["EU-RO-1"]}
    _, failures = KIND.check(operation, olds, {**DECLARED, "dataCenterIds": ["EU-RO-1"], **change})
    assert (failures, api.requests) == ([], [])


def test_a_gpu_that_left_the_catalogue_is_accepted_where_it_was(offline: ProviderOperation) -> None:
    olds = {**DECLARED, "gpuTypeIdList": ["NVIDIA GONE"]}
    _, failures = KIND.check(offline, olds, olds)
    assert failures == []


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


def wait(operation: ProviderOperation, before: Pod | None = None) -> Pod:
    inputs = {**{k: v for k, v in KIND.defaults.items() if v is not None}, **DECLARED}
    return PodReadiness(operation, operation.client(), PodSpec.parse(inputs)).wait("pod1", before)


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


def test_a_vanished_pod_leaves_the_state(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(problem(404, "pod not found"))
    assert KIND.read(operation, "pod1", {}, {}) is None
