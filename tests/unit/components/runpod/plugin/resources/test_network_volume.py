from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.runpod.api.models import NetworkVolume
from components.runpod.marker import Marker
from components.runpod.placement import NoCandidateLeftError
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from components.runpod.plugin.base.stack_file import StackFiles
from components.runpod.plugin.resources.network_volume import NetworkVolumeHandler, VolumeInUseError
from tests.unit.components.runpod.conftest import Lines
from tests.unit.components.runpod.fake_api import FakeApi, Reply, pod, problem

KIND = NetworkVolumeHandler()
MARKER = Marker("0123456789", "01234567", "89abcdef")
GPU = "NVIDIA RTX A5000"
DECLARED: dict[str, Any] = {"name": "models", "size": 50, "guard": MARKER.instance, "gpuTypeIdList": [GPU]}
NONE_YET = Reply(body={"networkVolumes": []})


def volume(**changes: object) -> dict[str, Any]:
    whole = {"id": "vol1", "name": MARKER.name("models"), "size": 50, "dataCenter": "US-KS-2", "type": "STANDARD"}
    return {**whole, **changes}


def catalogue(**stock: str) -> Reply:
    entries = [{"id": name.replace("_", "-"), "name": "", "availability": level} for name, level in stock.items()]
    gpu = {"id": GPU, "name": GPU, "memory": 24, "secure": True, "community": False}
    return Reply(body={"gpus": [{**gpu, "price": {"secure": 1, "community": 0}, "dataCenters": entries}]})


def centers(*names: str) -> Reply:
    entries = [{"id": name, "name": name, "region": "X", "networkVolumeTypes": ["STANDARD"]} for name in names]
    return Reply(body={"dataCenters": entries})


def checked(operation: ProviderOperation, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any input
    inputs, failures = KIND.check(replace(operation, settings=ProviderSettings()), {}, {**DECLARED, **changes})
    assert failures == []
    return inputs


def test_a_smaller_size_is_reported_and_ignored(operation: ProviderOperation, lines: Lines) -> None:
    inputs, failures = KIND.check(operation, checked(operation), {**DECLARED, "size": 49})
    assert (inputs["size"], failures) == (50, [])
    assert lines.shown == ["size: the network volume has 50 GB and cannot shrink to 49, so it keeps 50"]
    assert KIND.check(operation, checked(operation), {**DECLARED, "size": 51})[0]["size"] == 51


@pytest.mark.parametrize(("size", "reason"), [(9, "9 is not 10 to 4096 GB"), ("x", "'x' is not 10 to 4096 GB")])
def test_sizes_are_bounded(operation: ProviderOperation, size: object, reason: str) -> None:
    _, failures = KIND.check(operation, {}, {**DECLARED, "size": size})
    assert failures == [("size", f"size: {reason}")]


def test_a_volume_is_created_where_the_gpu_is(api: FakeApi, operation: ProviderOperation) -> None:
    stock = catalogue(EU_RO_1="NONE", US_KS_2="LOW")
    api.answer(NONE_YET, stock, centers("EU-RO-1", "US-KS-2"), Reply(201, volume()))
    _, outputs = KIND.create(operation, checked(operation))
    assert api.requests[-1].body["dataCenter"] == "US-KS-2"
    assert outputs["dataCenterId"] == "US-KS-2"


def test_a_refused_data_centre_leads_to_the_next(api: FakeApi, operation: ProviderOperation) -> None:
    stock = catalogue(EU_RO_1="HIGH", US_KS_2="LOW")
    api.answer(NONE_YET, stock, centers("EU-RO-1", "US-KS-2"), problem(400, "full"), Reply(201, volume()))
    KIND.create(operation, checked(operation))
    assert [request.body["dataCenter"] for request in api.requests[-2:]] == ["EU-RO-1", "US-KS-2"]


def test_no_volume_is_created_without_an_available_gpu(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(NONE_YET, catalogue(EU_RO_1="NONE"), centers("EU-RO-1"))
    with pytest.raises(NoCandidateLeftError, match=r"NVIDIA RTX A5000 in EU-RO-1  no stock"):
        KIND.create(operation, checked(operation))


def test_it_grows_in_place(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(Reply(body=volume()), Reply(body=volume(size=80)))
    outputs = KIND.update(operation, "vol1", {"marker": str(MARKER)}, checked(operation, size=80))
    assert api.requests[-1].body == {"size": 80}
    assert outputs["size"] == 80


def test_stock_and_ranking_never_move_a_volume(operation: ProviderOperation) -> None:
    state = {**checked(operation), "dataCenterId": "US-KS-2"}
    assert not KIND.diff(state, checked(operation, gpuTypeIdList=["NVIDIA A40"], gpuCount=2))
    assert not KIND.diff(state, checked(operation, dataCenterIds=["EU-RO-1", "US-KS-2"]))
    assert KIND.diff(state, checked(operation, dataCenterIds=["EU-RO-1"])).replaces == ("dataCenterIds",)


def test_a_catalogue_without_the_gpu_does_not_affect_an_existing_volume(
    api: FakeApi, operation: ProviderOperation
) -> None:
    requirement = {"minMemoryGb": 24, "maxUsdPerHour": 0.3}
    declared = {**DECLARED, "gpuTypeIdList": [], "gpuRequirement": requirement, "dataCenterIds": ["EU-RO-1"]}
    _, failures = KIND.check(operation, {}, declared)
    assert failures == [("gpuTypeIdList", f"gpuTypeIdList: {validation.no_gpu_meets(requirement)}")]
    _, failures = KIND.check(operation, checked(operation), declared)
    assert (failures, api.requests) == ([], [])


def test_drift_in_name_and_size_shows(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(Reply(body=volume(name="other", size=60)), NONE_YET)
    found = KIND.read(operation, "vol1", {"marker": str(MARKER)}, checked(operation))
    assert found is not None
    assert KIND.diff(found.outputs, checked(operation, size=60)).updates == ("name",)
    assert found.inputs["size"] == 60


def test_a_vanished_volume_leaves_the_state(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(problem(404, "resource not found"))
    assert KIND.read(operation, "vol1", {}, checked(operation)) is None


def holder(name: str) -> Reply:
    mounts = {"network": [{"volumeId": "vol1", "path": "/workspace"}]}
    return Reply(body={"pods": [pod(name=name, mounts=mounts)]})


def test_a_lost_pod_of_the_stack_does_not_keep_the_volume_alive(api: FakeApi, operation: ProviderOperation) -> None:
    no_pods = Reply(body={"pods": []})
    api.answer(
        holder(Marker(MARKER.instance, "76543210", "00000000").name("gpu")),
        Reply(204), problem(404, "pod not found"), no_pods,
        Reply(204), problem(404, "resource not found"), NONE_YET,
    )  # fmt: skip
    KIND.delete(operation, "vol1", {"marker": str(MARKER)})
    assert [r.path for r in api.requests if r.method == "DELETE"] == ["/v2/pods/pod1", "/v2/network-volumes/vol1"]


def test_a_foreign_pod_is_named_and_kept(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(holder("theirs"))
    with pytest.raises(VolumeInUseError, match=r"in use by pod pod1 \(theirs\)"):
        KIND.delete(operation, "vol1", {"marker": str(MARKER)})


@pytest.mark.parametrize(
    ("section", "state", "reason"),
    [
        ("{keep: true}", {}, "volume.keep is set in the stack file"),
        ("{keep: true}", {"keep": False}, "volume.keep is set in the stack file"),
        ("{id: vol1, sizeGb: 50}", {}, "volume.id in the stack file names it"),
        ("{id: vol2, sizeGb: 50}", {}, "volume.id in the stack file names another volume"),
        ("", {"keep": True}, "keep is set"),
    ],
)
def test_a_kept_volume_only_leaves_the_state(
    api: FakeApi,
    operation: ProviderOperation,
    lines: Lines,
    tmp_path: Path,
    section: str,
    state: dict[str, Any],
    reason: str,
) -> None:
    files = stack_file(tmp_path, section)
    KIND.delete(replace(operation, stack_files=files), "vol1", {"marker": str(MARKER), **state})
    assert api.requests == []
    assert lines.shown == [f"warning: network volume vol1 stays at RunPod and is still billed: {reason}"]


@pytest.mark.parametrize("section", ["{keep: false}", "{sizeGb: 50}"])
def test_a_no_longer_kept_volume_is_deleted(
    api: FakeApi, operation: ProviderOperation, tmp_path: Path, section: str
) -> None:
    api.answer(Reply(body={"pods": []}), Reply(204), problem(404, "resource not found"), NONE_YET)
    written = replace(operation, stack_files=stack_file(tmp_path, section))
    KIND.delete(written, "vol1", {"marker": str(MARKER), "keep": True})
    assert [r.path for r in api.requests if r.method == "DELETE"] == ["/v2/network-volumes/vol1"]


def test_a_pod_in_the_state_is_not_a_leftover(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(holder(Marker(MARKER.instance, "76543210", "00000000").name("gpu")))
    going_on = replace(operation, ids_of_stack=lambda: frozenset({"pod1"}))
    with pytest.raises(VolumeInUseError, match=r"in use by pod pod1 .* this stack still needs.*volume.id: vol1"):
        KIND.delete(going_on, "vol1", {"marker": str(MARKER)})
    assert [r.method for r in api.requests] == ["GET"]


def test_keeping_is_an_update_that_changes_nothing_at_runpod(operation: ProviderOperation) -> None:
    inputs = checked(operation, keep=True)
    assert KIND.diff({**checked(operation), "dataCenterId": "X"}, inputs).updates == ("keep",)
    assert KIND.patch(NetworkVolume.model_validate(volume()), inputs, MARKER.name("models")) == {}
    before_the_input = {name: value for name, value in checked(operation).items() if name != "keep"}
    assert not KIND.diff(before_the_input, checked(operation))


def stack_file(folder: Path, section: str) -> StackFiles:
    (folder / "Pulumi.dev.yaml").write_text(f"config:\n  project:volume: {section}\n")
    return StackFiles(folder)


@pytest.mark.parametrize("text", ["", "config: []", "config: {project:volume: 7}", "{", "config: {other:volume: {}}"])
def test_a_stack_file_without_a_volume_section_is_ignored(
    operation: ProviderOperation, tmp_path: Path, text: str
) -> None:
    assert StackFiles(tmp_path).volume(operation.urn) is None
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    assert StackFiles(tmp_path).volume(operation.urn) is None
