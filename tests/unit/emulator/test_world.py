"""What RunPod and its other customers do of themselves: the market, the edge, telemetry, the console."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.emulator.error_forms import EDGE
from tests.unit.emulator.harness import KEY, POD, Api

GPU = POD["gpu"]["id"]
ASKED = "?include=AVAILABILITY&product=POD"
VOLUME = {"name": "v", "size": 10, "dataCenter": "EU-RO-1"}


async def gpu(api: Api) -> dict[str, Any]:
    """The GPU type of `POD` as the catalogue has it now."""
    _, answer = await api.call("GET", f"/v2/catalog/gpus{ASKED}")
    return next(item for item in answer["gpus"] if item["id"] == GPU)


async def faults(api: Api, *rules: dict[str, Any]) -> None:
    await api.control("faults", list(rules))


async def test_a_gpu_is_listed_only_where_there_is_one_now(api: Api) -> None:
    everywhere = [entry["id"] for entry in (await gpu(api))["dataCenters"]]
    await api.control("stock", [{"gpu": GPU, "dataCenter": "EU-RO-1", "available": 1}])
    assert {"id": "EU-RO-1", "name": "EU-RO-1", "availability": "LOW"} in (await gpu(api))["dataCenters"]
    await api.make(dataCenterIds=["EU-RO-1"])
    assert [entry["id"] for entry in (await gpu(api))["dataCenters"]] == [i for i in everywhere if i != "EU-RO-1"]
    await api.control("stock", [{"gpu": GPU, "available": 0}, {"gpu": GPU, "dataCenter": "EU-RO-1", "available": 1}])
    listed = await gpu(api)
    assert (listed["availability"], "dataCenters" in listed) == ("NONE", False)


async def test_the_market_moves_by_a_seed_and_not_for_pods_that_run(api: Api) -> None:
    pod = await api.make()
    first = await api.control("market", {"move": 7})
    assert await api.control("market", {"move": 7}) == first
    second = await api.control("market", {"move": 8})
    assert second != first
    assert (await api.pod(pod["id"]))["cost"] == pod["cost"]
    prices = {(await gpu(api))["price"]["secure"]}
    for seed in range(5):
        await api.control("market", {"move": seed, "stock": False})
        prices.add((await gpu(api))["price"]["secure"])
    assert len(prices) > 3


async def test_the_market_moves_when_a_call_comes(api: Api) -> None:
    await faults(api, {"method": "POST", "path": "/v2/pods$", "nth": 1, "do": {"market": 7}})
    before = api.emu.state.market
    assert before == {}
    await api.call("POST", "/v2/pods", POD)
    assert set(api.emu.state.market) == {"prices", "stock"}


async def test_each_key_is_an_account_of_its_own_until_one_is_said_to_be_another_ones(api: Api) -> None:
    pod = await api.make()
    assert (await api.call("GET", "/v2/pods", key="rotated"))[1] == {"pods": []}
    await api.control("accounts", {"key": "rotated", "sameAs": KEY})
    assert [item["id"] for item in (await api.call("GET", "/v2/pods", key="rotated"))[1]["pods"]] == [pod["id"]]
    assert (await api.call("GET", "/v2/pods", key="third"))[1] == {"pods": []}
    await api.control("accounts", {"key": "third", "sameAs": "rotated"})
    assert len((await api.call("GET", "/v2/pods", key="third"))[1]["pods"]) == 1


@pytest.mark.parametrize("status", sorted(EDGE))
@pytest.mark.parametrize("effect", [True, False])
async def test_the_edge_answers_with_a_page_whether_the_pod_was_made_or_not(
    api: Api, status: int, effect: bool
) -> None:
    await faults(api, {"method": "POST", "nth": 1, "do": {"status": status, "effect": effect}})
    said, page = await api.call("POST", "/v2/pods", POD)
    assert said == status
    assert page.startswith("<!DOCTYPE html>")
    assert EDGE[status] in page
    assert len((await api.call("GET", "/v2/pods"))[1]["pods"]) == effect


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("error", {"error": "Something went wrong. Please try again later or contact support.", "status": 500}),
        ("text", "error code: 500"),
        ("empty", None),
    ],
)
async def test_an_error_has_the_form_that_is_asked_for(api: Api, form: str, body: object) -> None:
    await faults(api, {"do": {"status": 500, "form": form}})
    assert await api.call("GET", "/v2/pods") == (500, body)


async def test_errors_of_a_problem_can_be_objects(api: Api) -> None:
    await faults(api, {"do": {"status": 400, "form": "objects"}})
    status, body = await api.call("POST", "/v2/pods", POD)
    assert (status, body["title"]) == (400, "Bad Request")
    assert body["errors"] == [{"path": "$", "message": body["detail"], "code": "invalid"}]
    assert (await api.call("POST", "/_emulator/faults", [{"do": {"status": 400, "form": "yaml"}}]))[0] == 400


async def test_ports_are_there_before_the_gpus_of_a_pod_that_came_up(api: Api) -> None:
    await api.control("conditions", {"gpus_late_seconds": 20})
    pod = await api.make_running(ports=["22/tcp"])
    assert (pod["runtime"]["gpus"], pod["runtime"]["ports"][0]["private"]) == ([], 22)
    await api.pass_time(20)
    assert len((await api.pod(pod["id"]))["runtime"]["gpus"]) == 1


async def test_telemetry_has_gaps(api: Api) -> None:
    pod = await api.make_running()
    await api.pass_time(1)
    assert len((await api.pod(pod["id"]))["runtime"]["gpus"]) == 1
    await api.control(f"pods/{pod['id']}", {"do": "gap", "seconds": 60})
    shown = await api.pod(pod["id"])
    assert (shown["status"], shown["runtime"]["gpus"]) == ("RUNNING", [])
    await api.pass_time(60)
    assert len((await api.pod(pod["id"]))["runtime"]["gpus"]) == 1


async def test_tcp_ports_are_others_after_every_start_of_the_container(api: Api) -> None:
    pod = await api.make_running(ports=["22/tcp", "80/http"])
    seen = [pod["ssh"]["direct"]["port"]]
    for action in ("restart", "restart"):
        assert (await api.act(pod["id"], action))[0] == 200
        await api.come_up()
        seen.append((await api.pod(pod["id"]))["ssh"]["direct"]["port"])
    assert all(before != after for before, after in pairwise(seen))


async def test_a_console_clone_has_the_first_ones_mark(api: Api) -> None:
    pod = await api.make_running(env={"MARK": "stack/nonce"}, ports=["22/tcp"])
    clone = await api.control("clones", {"pod": pod["id"]})
    assert isinstance(clone, dict)
    assert clone["id"] != pod["id"]
    await api.come_up()
    shown = await api.pod(clone["id"])
    assert {name: shown[name] for name in ("name", "env", "status")} == {
        name: pod[name] for name in ("name", "env", "status")
    }
    assert api.emu.state.pods[clone["id"]].api_key != api.emu.state.pods[pod["id"]].api_key
    assert [len(api.emu.state.pods[one].spans) for one in (pod["id"], clone["id"])] == [1, 1]
    _, volume = await api.call("POST", "/v2/network-volumes", VOLUME)
    await api.control("clones", {"volume": volume["id"]})
    listed = (await api.call("GET", "/v2/network-volumes"))[1]["networkVolumes"]
    assert [{**item, "id": ""} for item in listed] == [{**volume, "id": ""}] * 2
    assert (await api.call("POST", "/_emulator/clones", {"pod": "none"}))[0] == 404


async def test_a_mounted_volume_is_refused_deleted_or_answered_otherwise(api: Api) -> None:
    _, volume = await api.call("POST", "/v2/network-volumes", VOLUME)
    await api.make(mounts={"network": [{"volumeId": volume["id"], "path": "/persistent/volume"}]})
    path = f"/v2/network-volumes/{volume['id']}"
    assert (await api.call("DELETE", path))[0] == 400
    await api.control("conditions", {"delete_mounted_status": 404})
    assert (await api.call("DELETE", path))[0] == 404
    await api.control("conditions", {"delete_mounted_status": 0})
    assert (await api.call("DELETE", path))[0] == 204
    assert not api.emu.state.volume_directory(volume["id"]).exists()


async def test_a_volume_behaves_as_the_conditions_say(api: Api) -> None:
    _, volume = await api.call("POST", "/v2/network-volumes", VOLUME)
    await api.control("conditions", {"volume_kind": "fuse", "volume_modes": "obeyed"})
    await api.make_running(mounts={"network": [{"volumeId": volume["id"], "path": "/persistent/volume"}]})
    [spec] = api.runtime.started
    assert spec.mount_path == "/persistent/volume"
    assert spec.behaviour is not None
    assert (spec.behaviour.modes, spec.behaviour.quota_bytes) == ("obeyed", 10 * 10**9)
    assert (await api.call("POST", "/_emulator/conditions", {"volume_modes": "some"}))[0] == 400
    path = f"/_emulator/volumes/{volume['id']}"
    assert (await api.call("POST", path, {"do": "stall", "seconds": 1}))[0] == 409, "this runtime has no such volumes"
    assert (await api.call("POST", path, {"do": "burn"}))[0] == 400
