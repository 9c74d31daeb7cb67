"""The life of a pod as RunPod's REST API v2 tells it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.emulator.problems import NO_CAPACITY
from tests.unit.emulator.harness import POD, Api, FakeRuntime, running

PORTS = ["8189/http", "22/tcp"]


async def test_running_comes_before_the_container_runs(api: Api) -> None:
    pod = await api.make(ports=PORTS)
    assert (pod["status"], pod["actions"], pod["runtime"]) == ("PROVISIONING", ["stop", "terminate"], None)
    await api.pass_time(0.4)
    pod = await api.pod(pod["id"])
    assert (pod["status"], pod["runtime"], pod["ssh"]["direct"]) == ("RUNNING", None, None)
    await api.pass_time(0.4)
    await api.pass_time(5)
    pod = await api.pod(pod["id"])
    assert pod["runtime"]["uptime"] == 5
    assert pod["ssh"]["direct"]["host"] == "127.0.0.1"
    assert {(p["private"], p["type"]) for p in pod["runtime"]["ports"]} == {
        (22, "tcp"),
        (8189, "http"),
        (19123, "http"),
    }


async def test_the_container_gets_runpods_variables_and_the_split_command(api: Api) -> None:
    pod = await api.make_running(args="bash -c 'echo \"$A\"'", env={"A": "x y", "CUDA_VERSION": "mine"}, ports=PORTS)
    spec = api.runtime.running[pod["id"]]
    assert spec.args == ["bash", "-c", 'echo "$A"']
    assert spec.env["A"] == "x y"
    assert spec.env["CUDA_VERSION"] == "mine"
    assert spec.env["RUNPOD_POD_ID"] == pod["id"]
    assert spec.env["RUNPOD_TCP_PORT_22"] == str(pod["ssh"]["direct"]["port"])
    assert spec.env["RUNPOD_GPU_COUNT"] == "1"
    assert spec.ports == (8189, 22)
    assert set(pod["env"]) == {"A", "CUDA_VERSION"}


async def test_this_machines_settings_do_not_reach_a_pod(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THIS_MACHINE", "x")
    monkeypatch.setenv("PIP_INDEX_URL", "http://mirror.test")
    pod = await api.make_running()
    env = api.runtime.running[pod["id"]].env
    assert "SECRET_OF_THIS_MACHINE" not in env
    assert env["PIP_INDEX_URL"] == "http://mirror.test"


async def test_stop_frees_the_container_and_start_gives_new_tcp_ports(api: Api) -> None:
    pod = await api.make_running(ports=PORTS)
    before = pod["runtime"]["ports"]
    status, stopped = await api.act(pod["id"], "stop")
    assert (status, stopped["status"], stopped["cost"], stopped["runtime"]) == (200, "EXITED", 0.0, None)
    assert pod["id"] not in api.runtime.running
    status, starting = await api.act(pod["id"], "start")
    assert (status, starting["status"]) == (200, "STARTING")
    await api.come_up()
    after = (await api.pod(pod["id"]))["runtime"]["ports"]
    assert before[0]["private"] == after[0]["private"] == 22
    assert before[0]["public"] != after[0]["public"]
    assert before[1] == after[1], "an HTTP port keeps its address for the pod's life"


@pytest.mark.parametrize(
    ("status", "refused"),
    [("RUNNING", ["start"]), ("EXITED", ["stop", "restart"]), ("PROVISIONING", ["start", "restart"])],
)
async def test_an_action_that_the_status_does_not_allow_is_409(api: Api, status: str, refused: list[str]) -> None:
    pod = await api.make() if status == "PROVISIONING" else await api.make_running()
    if status == "EXITED":
        await api.act(pod["id"], "stop")
    for action in refused:
        assert (await api.act(pod["id"], action))[0] == 409


async def test_a_stop_while_the_pod_comes_up_ends_it(api: Api) -> None:
    pod = await api.make()
    await api.act(pod["id"], "stop")
    await api.come_up()
    assert (await api.pod(pod["id"]))["status"] == "EXITED"
    assert api.runtime.started == []


@pytest.mark.parametrize(
    "change", [{"image": "other"}, {"env": {"B": "1"}}, {"args": "true"}, {"disk": 60}, {"ports": ["22/tcp"]}]
)
async def test_most_changes_reset_the_container(api: Api, change: dict[str, object]) -> None:
    pod = await api.make_running(ports=PORTS)
    status, changed = await api.call("PATCH", f"/v2/pods/{pod['id']}", change)
    assert (status, changed["runtime"]) == (200, None)
    await api.come_up()
    after = await api.pod(pod["id"])
    assert len(api.runtime.started) == 2
    assert after["ssh"]["direct"]["port"] != pod["ssh"]["direct"]["port"]
    assert after | change == after


async def test_a_change_of_name_or_nothing_resets_nothing(api: Api) -> None:
    pod = await api.make_running(ports=PORTS)
    status, changed = await api.call("PATCH", f"/v2/pods/{pod['id']}", {"name": "q", "ports": PORTS})
    assert (status, changed["name"], changed["runtime"]) == (200, "q", pod["runtime"])
    assert len(api.runtime.started) == 1


async def test_a_locked_pod_is_neither_stopped_nor_reset(api: Api) -> None:
    pod = await api.make_running()
    await api.call("PATCH", f"/v2/pods/{pod['id']}", {"locked": True})
    assert (await api.act(pod["id"], "stop"))[0] == 409
    assert (await api.call("PATCH", f"/v2/pods/{pod['id']}", {"image": "x"}))[0] == 409
    assert (await api.call("PATCH", f"/v2/pods/{pod['id']}", {"image": "x", "locked": False}))[0] == 200


async def test_a_deleted_pod_is_gone_from_everywhere(api: Api) -> None:
    pod = await api.make_running(ports=PORTS)
    assert await api.call("DELETE", f"/v2/pods/{pod['id']}") == (204, None)
    for method, path in [("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/action")]:
        body = {"action": "stop"} if path else {"name": "x"}
        status, problem = await api.call(
            method, f"/v2/pods/{pod['id']}{path}", None if method in "GET DELETE" else body
        )
        assert (status, problem["detail"]) == (404, "pod not found")
    assert await api.call("GET", "/v2/pods") == (200, {"pods": []})
    assert api.runtime.removed == [pod["id"]]


async def test_terminate_is_delete(api: Api) -> None:
    pod = await api.make_running()
    assert await api.act(pod["id"], "terminate") == (204, None)
    assert api.runtime.removed == [pod["id"]]


@pytest.mark.parametrize(
    ("members", "status", "words"),
    [
        ({"gpu": {"id": "NVIDIA Imaginary"}}, 422, "NVIDIA Imaginary"),
        ({"gpu": {"id": "NVIDIA GeForce RTX 4090", "count": 9}}, 400, "at most 8"),
        ({"cpu": {"id": "cpu5m", "vcpuCount": 2}}, 400, "exactly one of gpu or cpu"),
        ({"foo": 1}, 422, "$.foo: property is unsupported"),
        ({"env": {"A": 1}}, 422, "$.env.A: 1 is not of type 'string'"),
        ({"env": {f"V{n}": "" for n in range(51)}}, 400, "at most 50"),
        ({"ports": ["22/udp"]}, 400, "22/udp"),
        ({"ports": [f"{n}/http" for n in range(1, 12)]}, 400, "at most 10"),
        ({"args": "bash -c 'open"}, 400, "args"),
        ({"dataCenterIds": ["eu-ro-1"]}, 422, "eu-ro-1"),
        ({"mounts": {"network": [{"volumeId": "none", "path": "/w"}]}}, 404, "network volume not found"),
        ({"templateId": "t"}, 404, "template not found"),
        ({"gpu": {"id": "NVIDIA GeForce RTX 3070"}}, 400, NO_CAPACITY),
    ],
)
async def test_what_cannot_be_created_says_why(api: Api, members: dict[str, object], status: int, words: str) -> None:
    got, problem = await api.call("POST", "/v2/pods", POD | members)
    assert got == status
    assert words in " ".join([problem["detail"], *problem.get("errors", [])])
    assert await api.call("GET", "/v2/pods") == (200, {"pods": []})


async def test_stock_is_by_gpu_and_data_centre_and_what_runs_holds_it(api: Api) -> None:
    await api.control("stock", [{"available": 0}, {"gpu": POD["gpu"]["id"], "dataCenter": "EU-RO-1", "available": 1}])
    status, problem = await api.call("POST", "/v2/pods", POD | {"dataCenterIds": ["US-KS-2"]})
    assert (status, problem["detail"]) == (400, NO_CAPACITY)
    pod = await api.make(dataCenterIds=["US-KS-2", "EU-RO-1"])
    assert pod["dataCenterId"] == "EU-RO-1"
    assert (await api.call("POST", "/v2/pods", POD))[0] == 400
    await api.act(pod["id"], "stop")
    other = await api.make()
    assert (await api.act(pod["id"], "start"))[0] == 400, "somebody else has the GPU now"
    await api.call("DELETE", f"/v2/pods/{other['id']}")
    assert (await api.act(pod["id"], "start"))[0] == 200


async def test_without_money_nothing_starts(api: Api) -> None:
    pod = await api.make_running()
    await api.act(pod["id"], "stop")
    await api.control("conditions", {"balance": 0})
    assert (await api.call("POST", "/v2/pods", POD))[0] == 402
    assert (await api.act(pod["id"], "start"))[0] == 402


async def test_a_cpu_pod_has_vcpus_and_memory(api: Api) -> None:
    status, pod = await api.call(
        "POST", "/v2/pods", {"name": "c", "image": "i", "cpu": {"id": "cpu5m", "vcpuCount": 4}}
    )
    assert (status, pod["cpu"], pod["cost"]) == (201, {"id": "cpu5m", "vcpuCount": 4, "memory": 32}, 0.26)
    assert "gpu" not in pod


async def test_a_container_that_ends_is_started_again(api: Api) -> None:
    pod = await api.make_running()
    api.runtime.running.clear()
    api.runtime.exit_code = 3
    await api.emu.lifecycle.look_after(api.emu.state.pods[pod["id"]])
    assert (await api.pod(pod["id"]))["runtime"] is None
    await api.pass_time(5)
    assert (await api.pod(pod["id"]))["status"] == "RUNNING"
    assert len(api.runtime.started) == 2
    assert any("code 3" in event.line for event in api.emu.logs.events(pod["id"], "system"))


async def test_pods_outlive_the_emulator(tmp_path: Path) -> None:
    runtime = FakeRuntime(tmp_path)
    async with running(tmp_path, runtime) as api:
        kept, lost, new = await api.make_running(ports=PORTS), await api.make_running(), await api.make()
    del runtime.running[lost["id"]]
    async with running(tmp_path, runtime) as api:
        assert (await api.pod(kept["id"]))["runtime"]["ports"] == kept["runtime"]["ports"]
        assert (await api.pod(lost["id"]))["status"] == "EXITED", "the machine was down meanwhile"
        await api.come_up()
        assert (await api.pod(new["id"]))["runtime"] is not None
    assert len(runtime.started) == 3


async def test_two_deletes_at_once_are_one(api: Api) -> None:
    pod = await api.make_running()
    answers = await asyncio.gather(*(api.call("DELETE", f"/v2/pods/{pod['id']}") for _ in range(2)))
    assert {status for status, _ in answers} <= {204, 404}
    assert list(api.emu.state.living_pods()) == []
