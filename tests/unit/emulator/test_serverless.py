"""Endpoints and their workers, templates and credentials: what each refuses, and what is billed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.emulator.harness import POD, Api

ENDPOINTS = "/v2/serverless"
ENDPOINT: dict[str, Any] = {
    "name": "e",
    "type": "QUEUE",
    "image": "i",
    "gpu": {"pools": ["ADA_24"]},
    "workers": {"min": 1, "max": 2},
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
}


async def made(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    status, thing = await api.call("POST", path, body)
    assert status == 201, thing
    return dict(thing)


async def test_workers_bill_from_their_start_to_their_end(api: Api) -> None:
    endpoint = await made(api, ENDPOINTS, ENDPOINT)
    workers = f"{ENDPOINTS}/{endpoint['id']}/workers"
    assert (await api.call("GET", workers))[1]["summary"]["initializing"] == 1
    await api.pass_time(3600)
    assert (await api.call("GET", workers))[1]["summary"]["idle"] == 1
    await api.call("PATCH", f"{ENDPOINTS}/{endpoint['id']}", {"workers": {"min": 0, "max": 0}})
    await api.pass_time(3600)
    assert (await api.call("GET", workers))[1]["workers"] == []
    _, bill = await api.call("GET", f"/v2/billing/serverless?serverlessId={endpoint['id']}")
    _, whole = await api.call("GET", "/v2/billing")
    hour = bill["metadata"]["totals"]["gpuAmount"]
    assert hour == pytest.approx(bill["metadata"]["totals"]["totalAmount"])
    assert 0 < hour < 5
    assert whole["metadata"]["totals"]["serverlessGpuAmount"] == pytest.approx(hour)


async def test_busy_workers_go_on_until_they_are_let_go(api: Api) -> None:
    endpoint = await made(api, ENDPOINTS, ENDPOINT)
    await api.control(f"endpoints/{endpoint['id']}", {"do": "work", "workers": 2})
    await api.control("conditions", {"workers_never_end": "^e$"})
    await api.call("PATCH", f"{ENDPOINTS}/{endpoint['id']}", {"workers": {"min": 0, "max": 0}})
    await api.pass_time(600)
    assert (await api.call("GET", f"{ENDPOINTS}/{endpoint['id']}/workers"))[1]["summary"]["total"] == 3
    assert (await api.call("DELETE", f"{ENDPOINTS}/{endpoint['id']}"))[0] == 204
    assert (await api.call("GET", f"{ENDPOINTS}/{endpoint['id']}"))[0] == 404


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"gpu": {"pools": ["NO_SUCH"]}}, 400),
        ({"gpu": {"pools": ["ADA_24"], "excludedTypes": ["NVIDIA A40"]}}, 400),
        ({"gpu": {"pools": ["ADA_24"], "allowedCudaVersions": ["12.8"], "minCudaVersion": "12.6"}}, 400),
        ({"cpu": [{"id": "cpu5g", "vcpuCount": 2}]}, 400),
        ({"workers": {"min": 3, "max": 2}}, 400),
        ({"type": "LOAD_BALANCER"}, 422),
        ({"scaling": {"type": "REQUEST_COUNT", "requestCount": 1}, "workers": {"idleTimeout": 5}}, 400),
        ({"templateId": "none"}, 404),
        ({"networkVolumes": ["none"]}, 404),
        ({"registry": "none"}, 400),
        ({"minWorkers": 1}, 422),
    ],
)
async def test_what_is_no_endpoint_is_refused(api: Api, members: dict[str, Any], status: int) -> None:
    assert (await api.call("POST", ENDPOINTS, ENDPOINT | members))[0] == status
    assert await api.call("GET", ENDPOINTS) == (200, {"endpoints": []})


async def test_a_template_is_applied_once_and_the_body_wins(api: Api) -> None:
    preset = {"name": "t", "image": "t:1", "env": {"A": "1", "B": "1"}, "ports": ["80/http"], "startSsh": False}
    template = await made(api, "/v2/templates", preset)
    body = {"name": "p", "gpu": POD["gpu"], "templateId": template["id"], "env": {"B": "2"}}
    pod = await made(api, "/v2/pods", body)
    assert (pod["image"], pod["env"], pod["ports"], pod["template"]) == ("t:1", {"A": "1", "B": "2"}, ["80/http"], None)
    assert (await api.call("PATCH", f"/v2/templates/{template['id']}", {"image": "t:2"}))[1]["image"] == "t:2"
    assert (await api.pod(pod["id"]))["image"] == "t:1"
    serverless = ENDPOINT | {"templateId": template["id"]}
    assert (await api.call("POST", ENDPOINTS, serverless))[0] == 422, "it is a template for pods"
    assert (await api.call("POST", "/v2/templates", preset))[0] == 400, "its name is taken"


async def test_credentials_in_use_stay_and_templates_lose_them(api: Api) -> None:
    registry = await made(api, "/v2/registries", {"name": "r", "username": "u", "password": "canary"})
    assert set(registry) == {"id", "name"}
    template = await made(api, "/v2/templates", {"name": "t", "image": "i", "registry": registry["id"]})
    pod = await api.make(registry=registry["id"])
    assert (await api.call("DELETE", f"/v2/registries/{registry['id']}"))[0] == 400
    await api.call("DELETE", f"/v2/pods/{pod['id']}")
    assert (await api.call("DELETE", f"/v2/registries/{registry['id']}"))[0] == 204
    assert (await api.call("GET", f"/v2/templates/{template['id']}"))[1]["registry"] is None


async def test_cpu_flavours_have_stock_and_sizes(api: Api) -> None:
    await api.control("stock", [{"gpu": "cpu5g", "dataCenter": "EU-RO-1", "available": 4}])
    cpu = {"name": "c", "image": "i", "dataCenterIds": ["EU-RO-1"]}
    await made(api, "/v2/pods", cpu | {"cpu": {"id": "cpu5g", "vcpuCount": 4}})
    assert (await api.call("POST", "/v2/pods", cpu | {"cpu": {"id": "cpu5g", "vcpuCount": 2}}))[0] == 400
    assert (await api.call("POST", "/v2/pods", cpu | {"cpu": {"id": "cpu5m", "vcpuCount": 6}}))[0] == 400
    _, listed = await api.call("GET", "/v2/catalog/cpus?include=AVAILABILITY&product=POD&vcpuCount=2")
    stock = {entry["id"]: entry["availability"] for entry in listed["cpus"][0]["dataCenters"]}
    assert (listed["cpus"][0]["id"], "EU-RO-1" in stock, stock["US-KS-2"]) == ("cpu5g", False, "HIGH")
