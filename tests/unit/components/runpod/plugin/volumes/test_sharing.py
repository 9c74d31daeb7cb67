"""Two stacks on one volume would run each other's nodes with each other's keys: the second is refused in time."""

from __future__ import annotations

import pytest

from components.runpod.api.client import Client
from components.runpod.marker import ENV_NAME, Marker
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.resources.pod import PodHandler
from components.runpod.plugin.volumes import sharing
from tests.unit.components.runpod.conftest import GUARD
from tests.unit.components.runpod.fake_api import FakeApi, Reply, pod
from tests.unit.components.runpod.pod_inputs import checked

OTHERS = Marker("9876543210", "01234567", "89abcdef")
OURS = Marker(GUARD, "01234567", "89abcdef")
ON_IT = {"network": [{"volumeId": "v1", "path": "/persistent/volume"}]}


def listed(api: FakeApi, **changes: object) -> None:
    api.answer(Reply(200, {"pods": [pod(**{"mounts": ON_IT, "name": OTHERS.name("gpu"), **changes})]}))


@pytest.mark.parametrize("changes", [{}, {"name": "renamed", "env": {ENV_NAME: str(OTHERS)}}, {"status": "EXITED"}])
def test_a_volume_of_another_stacks_pod_is_refused(api: FakeApi, client: Client, changes: dict[str, object]) -> None:
    listed(api, **changes)
    with pytest.raises(sharing.SharedVolumeError, match=r"volume v1 belongs to the pod pod1 .* remove volume\.id"):
        sharing.refuse(client, "v1", GUARD)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": OURS.name("gpu")},
        {"name": "by-hand"},
        {"status": "TERMINATED"},
        {"mounts": {}},
        {"mounts": {"network": [{"volumeId": "v2", "path": "/x"}]}},
    ],
)
def test_own_unmarked_and_unrelated_pods_do_not_block_a_volume(
    api: FakeApi, client: Client, changes: dict[str, object]
) -> None:
    listed(api, **changes)
    sharing.refuse(client, "v1", GUARD)


def test_no_call_is_made_without_a_volume(api: FakeApi, client: Client) -> None:
    sharing.refuse(client, "", GUARD)
    assert api.requests == []


def test_a_pod_is_not_rented_on_anothers_volume(api: FakeApi, operation: ProviderOperation) -> None:
    inputs = checked(operation, networkVolumeId="v1")
    api.otherwise = lambda request: (
        Reply(200, {"pods": [pod(mounts=ON_IT, name=OTHERS.name("gpu"))]})
        if "/pods" in request.path
        else Reply(200, {"templates": []})
    )
    with pytest.raises(sharing.SharedVolumeError):
        PodHandler().create(operation, inputs)
    assert any("/pods" in request.path for request in api.requests)
    assert [request for request in api.requests if (request.method, request.path) == ("POST", "/v2/pods")] == []
