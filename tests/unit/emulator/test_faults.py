"""Faults as data."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.unit.emulator.harness import POD, Api


async def set_faults(api: Api, *rules: dict[str, object]) -> None:
    await api.control("faults", list(rules))


async def test_a_status_in_place_of_the_effect(api: Api) -> None:
    await set_faults(api, {"method": "POST", "path": "^/v2/pods$", "nth": 2, "do": {"status": 503}})
    statuses = [(await api.call("POST", "/v2/pods", POD))[0] for _ in range(3)]
    assert statuses == [201, 503, 201]
    assert len((await api.call("GET", "/v2/pods"))[1]["pods"]) == 2


async def test_a_status_although_it_took_effect(api: Api) -> None:
    await set_faults(api, {"method": "POST", "times": 1, "path": "/v2/pods", "do": {"status": 500, "effect": True}})
    assert (await api.call("POST", "/v2/pods", POD))[0] == 500
    assert len((await api.call("GET", "/v2/pods"))[1]["pods"]) == 1


@pytest.mark.parametrize(("reset", "pods"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_broken_connection_before_or_after_the_effect(api: Api, reset: str, pods: int) -> None:
    await set_faults(api, {"method": "POST", "path": "/v2/pods", "do": {reset: True}})
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.call("POST", "/v2/pods", POD)
    assert len((await api.call("GET", "/v2/pods"))[1]["pods"]) == pods
    assert api.emu.requests[-2]["fault"] == reset


async def test_an_effect_long_after_the_connection_broke(api: Api) -> None:
    await set_faults(api, {"method": "POST", "path": "/v2/pods", "times": 1, "do": {"late_seconds": 60}})
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.call("POST", "/v2/pods", POD)
    assert len((await api.call("GET", "/v2/pods"))[1]["pods"]) == 0
    await api.pass_time(61)
    assert len((await api.call("GET", "/v2/pods"))[1]["pods"]) == 1


async def test_a_rule_for_what_a_call_holds(api: Api) -> None:
    await set_faults(api, {"content": "H100", "do": {"status": 403}})
    assert (await api.call("POST", "/v2/pods", POD | {"gpu": {"id": "NVIDIA H100 NVL"}}))[0] == 403
    assert (await api.call("POST", "/v2/pods", POD))[0] == 201


async def test_a_lying_delete(api: Api) -> None:
    pod = await api.make_running()
    await set_faults(api, {"method": "DELETE", "do": {"status": 204}})
    assert (await api.call("DELETE", f"/v2/pods/{pod['id']}"))[0] == 204
    assert (await api.pod(pod["id"]))["status"] == "RUNNING"


@pytest.mark.parametrize(
    ("status", "words"), [(400, "no longer any instances"), (402, "balance"), (422, "validation"), (503, "went wrong")]
)
async def test_a_status_comes_with_runpods_words(api: Api, status: int, words: str) -> None:
    await set_faults(api, {"do": {"status": status}})
    code, problem = await api.call("GET", "/v2/pods")
    assert (code, problem["status"]) == (status, status)
    assert words in problem["detail"]


async def test_a_schedule_changes_the_world_at_a_call(api: Api) -> None:
    pod = await api.make_running()
    world = {"conditions": {"balance": 0}, "stock": [{"available": 0}], "pods": "fail-host"}
    await set_faults(api, {"method": "GET", "path": "^/v2/pods$", "nth": 2, "do": world})
    seen = [(await api.call("GET", "/v2/pods"))[1]["pods"][0]["status"] for _ in range(3)]
    assert seen == ["RUNNING", "ERROR", "ERROR"]
    assert (await api.call("POST", "/v2/pods", POD))[0] == 402
    await api.control("conditions", {"balance": 100})
    assert (await api.call("POST", "/v2/pods", POD))[0] == 400
    assert (await api.call("DELETE", f"/v2/pods/{pod['id']}"))[0] == 204
    assert (await api.call("POST", "/_emulator/faults", [{"do": {"conditions": {"weather": 1}}}]))[0] == 400


async def test_a_page_where_json_is_expected(api: Api) -> None:
    await set_faults(api, {"path": "/v2/pods", "do": {"status": 404, "body": "<html>not found</html>"}})
    assert await api.call("GET", "/v2/pods/x") == (404, "<html>not found</html>")


async def test_a_call_that_stalls_goes_on_by_the_clock(api: Api) -> None:
    await set_faults(api, {"path": "/v2/pods", "do": {"stall_seconds": 30}})
    call = asyncio.ensure_future(api.call("GET", "/v2/pods"))
    while not api.emu.requests:  # noqa: ASYNC110 - the list of requests is not told when it grows
        await asyncio.sleep(0)
    await api.pass_time(29)
    assert not call.done()
    await api.pass_time(2)
    assert (await call)[0] == 200


async def test_a_rule_acts_within_its_time(api: Api) -> None:
    await set_faults(api, {"since": 10, "until": 20, "do": {"status": 502}})
    seen = []
    for _ in range(4):
        seen.append((await api.call("GET", "/v2/pods"))[0])
        await api.pass_time(8)
    assert seen == [200, 200, 502, 200]


async def test_chance_is_repeatable(api: Api) -> None:
    histories = []
    for _ in range(2):
        await set_faults(api, {"probability": 0.3, "seed": 7, "do": {"status": 500}})
        histories.append([(await api.call("GET", "/v2/pods"))[0] for _ in range(20)])
    assert histories[0] == histories[1]
    assert set(histories[0]) == {200, 500}


@pytest.mark.parametrize(
    "rule", [{"do": {"stauts": 500}}, {"method": "GET"}, {"path": "(", "do": {}}, {"nht": 1, "do": {}}]
)
async def test_a_rule_that_is_none_is_refused(api: Api, rule: dict[str, object]) -> None:
    assert (await api.call("POST", "/_emulator/faults", [rule]))[0] == 400
    assert (await api.call("POST", "/_emulator/conditions", {"weather": 1}))[0] == 400


async def test_lists_that_lag_behind(api: Api) -> None:
    await api.control("conditions", {"list_lag_seconds": 10})
    pod = await api.make()
    assert (await api.call("GET", "/v2/pods"))[1] == {"pods": []}
    assert (await api.pod(pod["id"]))["id"] == pod["id"]
    await api.pass_time(11)
    assert len((await api.call("GET", "/v2/pods"))[1]["pods"]) == 1
    await api.call("DELETE", f"/v2/pods/{pod['id']}")
    assert len((await api.call("GET", "/v2/pods"))[1]["pods"]) == 1
    assert (await api.call("GET", "/_emulator/pods"))[1]["pods"] == [], "what really is has no lag"
    await api.pass_time(11)
    assert (await api.call("GET", "/v2/pods"))[1] == {"pods": []}


async def test_pods_that_never_get_ready_or_crash(api: Api) -> None:
    await api.control("conditions", {"never_ready": "^never", "crash_loop": "^crash"})
    never, crashing = await api.make_running(name="never"), await api.make_running(name="crash")
    await api.pass_time(3600)
    assert [(await api.pod(never["id"]))[name] for name in ("status", "runtime")] == ["RUNNING", None]
    assert api.runtime.running[crashing["id"]].args[-1].endswith("exit 1")
    assert (await api.pod(never["id"]))["cost"] == 0.74, "it bills all the same"


async def test_a_start_without_a_gpu(api: Api) -> None:
    pod, stuck = await api.make_running(name="zero"), await api.make_running(name="stuck")
    await api.control("conditions", {"zero_gpus_after_start": "zero", "start_fails": "stuck"})
    for one in (pod, stuck):
        await api.act(one["id"], "stop")
    assert (await api.act(pod["id"], "start"))[0] == 200
    assert (await api.act(stuck["id"], "start"))[0] == 400
    await api.come_up()
    assert (await api.pod(pod["id"]))["runtime"]["gpus"] == []
    assert api.runtime.running[pod["id"]].env["RUNPOD_GPU_COUNT"] == "0"


async def test_what_happens_to_pods_out_of_band(api: Api) -> None:
    pod = await api.make_running()
    await api.control(f"pods/{pod['id']}", {"do": "drift", "set": {"image": "other", "env": {"X": "1"}}})
    drifted = await api.pod(pod["id"])
    assert (drifted["image"], drifted["env"], drifted["status"]) == ("other", {"X": "1"}, "RUNNING")
    await api.control(f"pods/{pod['id']}", {"do": "drift", "set": {"status": "EXITED"}})
    assert (await api.pod(pod["id"]))["runtime"] is None
    await api.control(f"pods/{pod['id']}", {"do": "fail-host"})
    assert (await api.pod(pod["id"]))["status"] == "ERROR"
    await api.control(f"pods/{pod['id']}", {"do": "lose"})
    assert (await api.call("GET", f"/v2/pods/{pod['id']}"))[0] == 404
    assert (await api.call("POST", f"/_emulator/pods/{pod['id']}", {"do": "lose"}))[0] == 404


async def test_a_name_that_was_made_to_point_here_gets_nothing(api: Api) -> None:
    assert (await api.call("GET", "/v2/pods", headers={"Host": "evil.test:8642"}))[0] == 421


async def test_web_pages_do_not_reach_the_control_plane(api: Api) -> None:
    assert (await api.call("POST", "/_emulator/faults", [], headers={"Origin": "http://evil.test"}))[0] == 403
