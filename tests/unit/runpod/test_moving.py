"""An empty new volume does not trap a stack where no pod can be had; one that a pod has had stays where it is."""

from __future__ import annotations

import pytest

from components.runpod.marker import Marker
from components.runpod.placement import PlacementError
from components.runpod.plugin.kind import Operation
from tests.unit.runpod.cloud import Begin, begin, checked, cloud
from tests.unit.runpod.emulated import RunPod
from tests.unit.runpod.every_kind import CASES, GPU

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


def make_pod(begin: Begin, volume_id: str) -> Operation:
    operation = begin(POD)
    POD.kind.create(operation, checked(POD, operation, networkVolumeId=volume_id))
    return operation


def moves(operation: Operation, volume_id: str) -> bool:
    """Say whether an update of which nothing else is asked moves the volume."""
    inputs = checked(VOLUME, operation)
    return VOLUME.kind.decide(operation, volume_id, inputs, inputs).replaces == ("dataCenterIds",)


def test_an_empty_volume_moves_to_where_a_pod_can_be_had(cloud: RunPod, begin: Begin, trapped: str) -> None:
    operation = begin(VOLUME)
    assert not moves(operation, trapped), "stock alone never moves anything"
    with pytest.raises(PlacementError, match=f"{trapped} is new and empty, so"):
        make_pod(begin, trapped)
    assert moves(operation, trapped)

    moved, state = VOLUME.kind.create(operation, checked(VOLUME, operation, dataCenterIds=["EU-RO-1", "US-KS-2"]))
    assert state["dataCenterId"] == "US-KS-2"
    assert [thing.id for thing in cloud.things()] == [moved], "the empty one is gone, also where volumes are kept"
    make_pod(begin, moved)
    assert not moves(operation, moved)


def test_a_refusal_in_spite_of_stock_moves_it_too(cloud: RunPod, begin: Begin) -> None:
    operation = begin(VOLUME)
    identity, _ = VOLUME.kind.create(operation, checked(VOLUME, operation, dataCenterIds=["EU-RO-1", "US-KS-2"]))
    operation.intents.seen_in_state(identity)
    cloud.fail({"method": "POST", "path": "^/v2/pods$", "do": {"status": 400}})
    with pytest.raises(PlacementError):
        make_pod(begin, identity)
    cloud.fail()
    _, state = VOLUME.kind.create(operation, checked(VOLUME, operation, dataCenterIds=["EU-RO-1", "US-KS-2"]))
    assert state["dataCenterId"] == "US-KS-2", "where pods were refused comes last, whatever the stock says"


def test_a_volume_that_a_pod_has_had_stays(cloud: RunPod, begin: Begin, trapped: str) -> None:
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 1)
    make_pod(begin, trapped)
    for pod in list(cloud.emu.state.living_pods()):
        begin(POD).client().delete_pod(pod.id)
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 0)
    with pytest.raises(PlacementError) as refused:
        make_pod(begin, trapped)
    assert "empty" not in str(refused.value)
    assert not moves(begin(VOLUME), trapped)


def test_a_volume_that_was_found_and_not_made_stays(cloud: RunPod, begin: Begin) -> None:
    operation = begin(VOLUME)
    body = {"name": Marker("0123456789", "0" * 8, "1" * 8).name("x"), "size": 20, "dataCenter": "EU-RO-1"}
    volume = operation.client().network_volumes.create(body)
    cloud.emu.market.set_stock(GPU, "EU-RO-1", 0)
    with pytest.raises(PlacementError) as refused:
        make_pod(begin, volume.id)
    assert "empty" not in str(refused.value)
    assert not moves(operation, volume.id)
