"""Network volumes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.problems import VOLUME_IN_USE
from tests.unit.emulator.harness import POD, Api

VOLUME: dict[str, Any] = {"name": "v", "size": 20, "dataCenter": "EU-RO-1"}
VOLUMES = "/v2/network-volumes"


async def test_create_show_list_grow_delete(api: Api) -> None:
    status, volume = await api.call("POST", VOLUMES, VOLUME)
    assert (status, volume) == (201, VOLUME | {"id": volume["id"], "type": "STANDARD"})
    one = f"{VOLUMES}/{volume['id']}"
    assert await api.call("GET", one) == (200, volume)
    assert await api.call("GET", VOLUMES) == (200, {"networkVolumes": [volume]})
    assert (await api.call("PATCH", one, {"size": 30, "name": "w"}))[1] == volume | {"size": 30, "name": "w"}
    status, problem = await api.call("PATCH", one, {"size": 20})
    assert (status, "only grow" in problem["detail"]) == (400, True)
    files = api.emu.state.volume_directory(volume["id"])
    assert files.is_dir()
    assert await api.call("DELETE", one) == (204, None)
    assert (await api.call("GET", one))[1]["detail"] == "network volume not found"
    assert not files.exists()


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"size": 9}, 422),
        ({"size": 4097}, 422),
        ({"type": "FAST"}, 422),
        ({"dataCenterId": "EU-RO-1"}, 422),
        ({"dataCenter": "NO-WHERE"}, 400),
        ({"dataCenter": "US-GA-1"}, 400),
    ],
)
async def test_what_is_no_volume_is_refused(api: Api, members: dict[str, object], status: int) -> None:
    assert (await api.call("POST", VOLUMES, VOLUME | members))[0] == status
    assert await api.call("GET", VOLUMES) == (200, {"networkVolumes": []})


async def test_a_pod_goes_where_its_volume_is_and_holds_it(api: Api) -> None:
    _, volume = await api.call("POST", VOLUMES, VOLUME)
    mounts = {"network": [{"volumeId": volume["id"], "path": "/workspace"}]}
    status, problem = await api.call("POST", "/v2/pods", POD | {"mounts": mounts, "dataCenterIds": ["US-KS-2"]})
    assert (status, volume["id"] in problem["detail"]) == (400, True)
    status, problem = await api.call("POST", "/v2/pods", POD | {"mounts": mounts, "cloud": "COMMUNITY"})
    assert (status, "Secure Cloud" in problem["detail"]) == (400, True)
    pod = await api.make_running(mounts=mounts)
    assert (pod["dataCenterId"], pod["mounts"]) == ("EU-RO-1", mounts)
    spec = api.runtime.running[pod["id"]]
    assert (spec.volume, spec.mount_path) == (api.emu.state.volume_directory(volume["id"]), "/workspace")
    assert spec.env["RUNPOD_VOLUME_ID"] == volume["id"]
    status, problem = await api.call("DELETE", f"{VOLUMES}/{volume['id']}")
    assert (status, problem["detail"]) == (400, VOLUME_IN_USE)
    other = {"network": [{"volumeId": "other", "path": "/workspace"}]}
    assert (await api.call("PATCH", f"/v2/pods/{pod['id']}", {"mounts": other}))[0] == 400
    await api.call("DELETE", f"/v2/pods/{pod['id']}")
    assert spec.volume is not None
    assert spec.volume.is_dir(), "the network volume outlives its pod"
    assert (await api.call("DELETE", f"{VOLUMES}/{volume['id']}"))[0] == 204
