"""GPU types, CPU flavours and data centres."""

from __future__ import annotations

from typing import Any

from tests.unit.emulator.harness import POD, Api

GPU = POD["gpu"]["id"]


def by_id(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in items}


async def gpus(api: Api, query: str = "") -> dict[str, dict[str, Any]]:
    status, answer = await api.call("GET", f"/v2/catalog/gpus{query}")
    assert status == 200, answer
    return by_id(answer["gpus"])


async def test_prices_and_stock_come_when_asked_for(api: Api) -> None:
    plain = (await gpus(api))[GPU]
    assert (plain["price"]["secure"], plain["memory"], "availability" in plain) == (0.74, 24, False)
    full = (await gpus(api, "?include=AVAILABILITY&product=POD"))[GPU]
    assert full["availability"] == "HIGH"
    assert {"id": "EU-RO-1", "name": "EU-RO-1", "availability": "HIGH"} in full["dataCenters"]
    assert (await api.call("GET", "/v2/catalog/gpus?include=AVAILABILITY"))[0] == 400
    assert (await api.call("GET", f"/v2/catalog/gpus/{GPU}"))[1] == plain
    assert (await api.call("GET", "/v2/catalog/gpus/none"))[0] == 404


async def test_filters(api: Api) -> None:
    assert "NVIDIA GeForce RTX 3070" not in await gpus(api, "?cloud=SECURE")
    assert "NVIDIA B300 SXM6 AC" not in await gpus(api, "?countryCodes=RO")
    romanian = (await gpus(api, "?countryCodes=RO&include=AVAILABILITY&product=POD"))[GPU]
    assert [place["id"] for place in romanian["dataCenters"]] == ["EU-RO-1"]
    many = (await gpus(api, "?count=9&include=AVAILABILITY&product=POD"))[GPU]
    assert (many["availability"], "dataCenters" in many) == ("NONE", False)


async def test_stock_in_four_words(api: Api) -> None:
    for available, word in [(0, "NONE"), (2, "LOW"), (8, "MEDIUM"), (9, "HIGH"), (None, "HIGH")]:
        await api.control("stock", [{"gpu": GPU, "dataCenter": "EU-RO-1", "available": available}])
        _, place = await api.call("GET", "/v2/catalog/datacenters/EU-RO-1?include=GPU_AVAILABILITY")
        assert by_id(place["gpuAvailability"])[GPU]["availability"] == word


async def test_prices_move_for_new_pods_only(api: Api) -> None:
    old = await api.make(gpu={"id": GPU, "count": 2})
    await api.control("prices", [{"gpu": GPU, "price": 1.0}])
    assert (await api.pod(old["id"]))["cost"] == 1.48
    assert (await api.make())["cost"] == 1.0
    await api.control("prices", [{"gpu": GPU, "price": None}])
    assert (await gpus(api))[GPU]["secure"] is False
    assert (await api.call("POST", "/v2/pods", POD))[0] == 400


async def test_data_centres_and_cpus(api: Api) -> None:
    _, answer = await api.call("GET", "/v2/catalog/datacenters?regions=EUROPE&networkVolumeTypes=STANDARD")
    found = by_id(answer["dataCenters"])
    assert "EU-RO-1" in found
    assert "US-KS-2" not in found
    assert "EU-FR-1" not in found
    _, answer = await api.call("GET", "/v2/catalog/cpus?include=AVAILABILITY&product=POD")
    assert by_id(answer["cpus"])["cpu5m"]["price"]["securePerVcpu"] == 0.065
    assert (await api.call("GET", "/v2/catalog/cpus/none"))[0] == 404
    assert (await api.call("GET", "/v2/catalog/datacenters/none"))[0] == 404


async def test_a_parameter_the_document_does_not_know_is_remembered(api: Api) -> None:
    assert (await api.call("GET", "/v2/catalog/gpus?gpuCount=2"))[0] == 200
    [violation] = (await api.call("GET", "/_emulator/violations"))[1]
    assert "gpuCount" in violation["errors"][0]
    api.emu.violations.clear()
    assert (await api.call("GET", "/v2/catalog/gpus?count=0"))[0] == 422
