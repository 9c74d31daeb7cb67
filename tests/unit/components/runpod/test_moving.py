"""An empty new volume does not trap a stack where no pod can be had; one that a pod has had stays where it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.runpod.intents import Intents
from components.runpod.marker import Marker
from components.runpod.placement import NoCandidateLeftError
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from components.runpod.plugin.base.stack_file import StackFiles
from components.runpod.plugin.volumes import unused_tag
from components.runpod.plugin.volumes.data_loss import DataLossError
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.cloud import Begin, KilledError, begin, checked, cloud
from tests.unit.components.runpod.emulated import RunPod
from tests.unit.components.runpod.every_kind import CASES, GPU

__all__ = ["begin", "cloud"]
"""Fixtures."""

VOLUME = next(case for case in CASES if case.name == "volume")
POD = next(case for case in CASES if case.name == "gpu-pod")


@pytest.fixture
def trapped(cloud: RunPod, begin: Begin) -> str:
    """A new volume in a data centre whose stock went between its creation and its first pod's."""
    operation = begin(VOLUME)
    identity, state = VOLUME.kind.create(operation, checked(VOLUME, operation, dataCenterIds=["EU-RO-1", "US-KS-2"]))
    assert state["dataCenterId"] == "EU-RO-1"
    operation.intents.seen_in_state(identity)
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 0)
    return identity


def make_pod(begin: Begin, volume_id: str) -> ProviderOperation:
    operation = begin(POD)
    POD.kind.create(operation, checked(POD, operation, networkVolumeId=volume_id))
    return operation


def decided(operation: ProviderOperation, volume_id: str, **changes: object) -> tuple[str, ...]:
    """Return because of which inputs an update with these changes replaces the volume."""
    state = {**checked(VOLUME, operation), "dataCenterId": "EU-RO-1"}
    return VOLUME.kind.decide(operation, volume_id, state, checked(VOLUME, operation, **changes)).replaces


def moves(operation: ProviderOperation, volume_id: str) -> bool:
    """Say whether an update of which nothing else is asked moves the volume."""
    inputs = checked(VOLUME, operation)
    return VOLUME.kind.decide(operation, volume_id, inputs, inputs).replaces == ("dataCenterIds",)


def test_an_empty_volume_moves_to_available_gpus(cloud: RunPod, begin: Begin, trapped: str) -> None:
    operation = begin(VOLUME)
    assert not moves(operation, trapped), "stock alone never moves anything"
    with pytest.raises(NoCandidateLeftError, match=f"{trapped} is new and empty"):
        make_pod(begin, trapped)
    assert moves(operation, trapped)

    moved, state = VOLUME.kind.create(operation, checked(VOLUME, operation, dataCenterIds=["EU-RO-1", "US-KS-2"]))
    assert state["dataCenterId"] == "US-KS-2"
    assert {thing.id for thing in cloud.things()} == {trapped, moved}, "what is replaced is the engine's to end"
    VOLUME.kind.delete(operation, trapped, checked(VOLUME, operation))
    assert [thing.id for thing in cloud.things()] == [moved]
    make_pod(begin, moved)
    assert not moves(operation, moved)


def test_a_refusal_in_spite_of_stock_moves_it_too(cloud: RunPod, begin: Begin) -> None:
    operation = begin(VOLUME)
    identity, _ = VOLUME.kind.create(operation, checked(VOLUME, operation, dataCenterIds=["EU-RO-1", "US-KS-2"]))
    operation.intents.seen_in_state(identity)
    cloud.fail({"method": "POST", "path": "^/v2/pods$", "do": {"status": 400}})
    with pytest.raises(NoCandidateLeftError):
        make_pod(begin, identity)
    cloud.fail()
    _, state = VOLUME.kind.create(operation, checked(VOLUME, operation, dataCenterIds=["EU-RO-1", "US-KS-2"]))
    assert state["dataCenterId"] == "US-KS-2", "where pods were refused comes last, whatever the stock says"


def test_a_used_volume_stays(cloud: RunPod, begin: Begin, trapped: str) -> None:
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 1)
    make_pod(begin, trapped)
    for pod in list(cloud.emu.state.living_pods()):
        begin(POD).client().delete_pod(pod.id)
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 0)
    with pytest.raises(NoCandidateLeftError) as refused:
        make_pod(begin, trapped)
    assert "empty" not in str(refused.value)
    assert not moves(begin(VOLUME), trapped)


def test_what_one_machine_remembers_does_not_move_what_another_has_filled(
    cloud: RunPod, begin: Begin, trapped: str, tmp_path: Path, clock: FakeClock
) -> None:
    with pytest.raises(NoCandidateLeftError):
        make_pod(begin, trapped)
    here = begin(VOLUME)
    assert moves(here, trapped)
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 1)
    elsewhere = replace(begin(POD), intents=Intents(tmp_path / "elsewhere", clock.time))
    POD.kind.create(elsewhere, checked(POD, elsewhere, networkVolumeId=trapped))
    for pod in list(cloud.emu.state.living_pods()):
        elsewhere.client().delete_pod(pod.id)
    assert here.intents.is_movable(trapped)
    assert not moves(here, trapped), "weeks of data may be on it"
    with pytest.raises(DataLossError, match=f"volume {trapped} may contain data"):
        decided(here, trapped, dataCenterIds=["US-KS-2"])


def test_a_volume_that_a_pod_of_the_console_has_is_not_empty(cloud: RunPod, begin: Begin, trapped: str) -> None:
    with pytest.raises(NoCandidateLeftError):
        make_pod(begin, trapped)
    operation = begin(VOLUME)
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 1)
    body = {"name": "by hand", "cloud": "SECURE", "gpu": {"id": GPU, "count": 1}, "image": "i", "disk": 30}
    mounts = {"network": [{"volumeId": trapped, "path": "/workspace"}]}
    operation.client().create_pod({**body, "mounts": mounts, "dataCenterIds": ["EU-RO-1"]})
    assert not moves(operation, trapped)


@pytest.mark.parametrize("fault", [{"reset_before": True}, {"status": 522}], ids=["reset", "cloudflare"])
def test_a_pod_that_may_have_been_made_leaves_no_empty_volume(
    cloud: RunPod, begin: Begin, trapped: str, fault: dict[str, Any]
) -> None:
    cloud.fail({"method": "POST", "path": "^/v2/pods$", "times": 1, "do": fault})
    with pytest.raises(NoCandidateLeftError) as refused:
        make_pod(begin, trapped)
    assert "empty" not in str(refused.value)
    assert not moves(begin(VOLUME), trapped)


def test_killed_before_its_pod_was_asked_for_a_volume_counts_as_used(cloud: RunPod, begin: Begin, trapped: str) -> None:
    calls = 0
    while not cloud.calls("PATCH", f"/v2/network-volumes/{trapped}"):
        calls += 1
        with pytest.raises((KilledError, NoCandidateLeftError)):
            POD.kind.create(begin(POD, calls), checked(POD, begin(POD), networkVolumeId=trapped))
    assert calls > 1
    assert not unused_tag.is_empty(begin(VOLUME).client(), trapped)


def test_an_empty_volume_is_replaced_and_a_used_one_needs_permission(cloud: RunPod, begin: Begin, trapped: str) -> None:
    operation = begin(VOLUME)
    assert decided(operation, trapped, dataCenterIds=["US-KS-2"]) == ("dataCenterIds",)
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 1)
    make_pod(begin, trapped)
    with pytest.raises(DataLossError, match=f"volume.replace: {trapped}"):
        decided(operation, trapped, dataCenterIds=["US-KS-2"])
    with pytest.raises(DataLossError):
        decided(operation, trapped, isNextGenStorage=True, mayReplace="another")
    assert decided(operation, trapped, dataCenterIds=["US-KS-2"], mayReplace=trapped) == ("dataCenterIds",)


def test_an_empty_volume_that_is_to_be_kept_moves_by_its_name_alone(cloud: RunPod, begin: Begin, trapped: str) -> None:
    with pytest.raises(NoCandidateLeftError):
        make_pod(begin, trapped)
    operation = begin(VOLUME)
    assert decided(operation, trapped, keep=True) == ()
    assert decided(operation, trapped, keep=True, mayReplace=trapped) == ("dataCenterIds",)


def test_unlistable_resources_count_as_users_of_the_volume(cloud: RunPod, begin: Begin, trapped: str) -> None:
    operation = begin(VOLUME)
    assert unused_tag.is_empty(operation.client(), trapped)
    cloud.fail({"method": "GET", "path": "^/v2/serverless$", "do": {"status": 403}})
    assert not unused_tag.is_empty(operation.client(), trapped)


def test_without_a_key_a_preview_neither_moves_nor_fails(cloud: RunPod, begin: Begin, trapped: str) -> None:
    with pytest.raises(NoCandidateLeftError):
        make_pod(begin, trapped)
    assert not moves(replace(begin(VOLUME), settings=ProviderSettings()), trapped)


def test_a_refused_pod_advises_how_a_kept_volume_moves(
    cloud: RunPod, begin: Begin, trapped: str, tmp_path: Path
) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  project:volume: {keep: true}\n")
    operation = replace(begin(POD), stack_files=StackFiles(tmp_path))
    with pytest.raises(NoCandidateLeftError, match=f"set volume.replace: {trapped}"):
        POD.kind.create(operation, checked(POD, operation, networkVolumeId=trapped))


def test_the_tag_of_an_unused_volume_is_no_drift(cloud: RunPod, begin: Begin, trapped: str) -> None:
    operation = begin(VOLUME)
    inputs = checked(VOLUME, operation, dataCenterIds=["EU-RO-1", "US-KS-2"])
    (volume,) = operation.client().list_network_volumes()
    assert unused_tag.has_tag(volume)
    before = VOLUME.kind.read(operation, trapped, {}, inputs)
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 1)
    make_pod(begin, trapped)
    assert VOLUME.kind.read(operation, trapped, {}, inputs) == before
    assert VOLUME.kind.update(operation, trapped, {}, {**inputs, "size": 30})["physicalName"] == unused_tag.untagged(
        volume.name
    )
    (volume,) = operation.client().list_network_volumes()
    assert not unused_tag.has_tag(volume)


def test_an_existing_volume_stays(cloud: RunPod, begin: Begin) -> None:
    operation = begin(VOLUME)
    body = {"name": Marker("0123456789", "0" * 8, "1" * 8).name("x"), "size": 20, "dataCenter": "EU-RO-1"}
    volume = operation.client().network_volumes.create(body)
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 0)
    with pytest.raises(NoCandidateLeftError) as refused:
        make_pod(begin, volume.id)
    assert "empty" not in str(refused.value)
    assert not moves(operation, volume.id)
