"""What was spent, by the emulator's clock."""

from __future__ import annotations

import pytest

from tests.unit.emulator.harness import Api

HOUR, DAY = 3600.0, 86400.0


async def test_a_pod_bills_from_create_to_stop_and_its_disk_with_it(api: Api) -> None:
    pod = await api.make(disk=73)
    await api.pass_time(HOUR)
    await api.act(pod["id"], "stop")
    await api.pass_time(DAY)
    await api.call("DELETE", f"/v2/pods/{pod['id']}")
    _, answer = await api.call("GET", f"/v2/billing/pods?podId={pod['id']}&bucketSize=day")
    [record] = answer["records"]
    assert record["gpuAmount"] == pytest.approx(0.74)
    assert record["diskAmount"] == pytest.approx(0.01), "73 GB at 0.10 a month of 730 hours"
    assert record["totalAmount"] == pytest.approx(0.75)
    assert (record["startTime"], record["endTime"]) == ("2026-06-01T00:00:00.000Z", "2026-06-02T00:00:00.000Z")
    assert answer["metadata"]["totals"]["totalAmount"] == pytest.approx(0.75)
    assert answer["metadata"]["uniquePodCount"] == 1


async def test_a_volume_disk_bills_double_while_the_pod_is_stopped(api: Api) -> None:
    pod = await api.make(disk=1, mounts={"persistent": {"size": 730, "path": "/workspace"}})
    await api.act(pod["id"], "stop")
    await api.pass_time(HOUR)
    _, answer = await api.call("GET", "/v2/billing/pods")
    assert answer["records"][0]["totalAmount"] == pytest.approx(0.2)


async def test_a_volume_bills_by_size_attached_or_not(api: Api) -> None:
    _, volume = await api.call("POST", "/v2/network-volumes", {"name": "v", "size": 1000, "dataCenter": "EU-RO-1"})
    await api.pass_time(HOUR)
    await api.call("PATCH", f"/v2/network-volumes/{volume['id']}", {"size": 2000})
    await api.pass_time(HOUR)
    _, answer = await api.call("GET", "/v2/billing/network-volumes?bucketSize=hour")
    assert [round(record["standardAmount"] * 730, 6) for record in answer["records"]] == [70, 120]
    _, everything = await api.call("GET", "/v2/billing")
    assert everything["metadata"]["totals"]["storageStandardAmount"] * 730 == pytest.approx(190)


async def test_records_lag_when_told_to_and_ranges_are_snapped(api: Api) -> None:
    await api.make()
    await api.control("conditions", {"billing_lag_seconds": HOUR})
    await api.pass_time(HOUR)
    assert (await api.call("GET", "/v2/billing/pods"))[1]["records"] == []
    await api.pass_time(HOUR)
    _, answer = await api.call("GET", "/v2/billing/pods?bucketSize=hour&lastN=2")
    assert len(answer["records"]) == 0, "the last two hours hold nothing that billing knows yet"
    query = "startTime=2026-06-01T12:30:00Z&endTime=2026-06-01T12:40:00Z"
    _, answer = await api.call("GET", f"/v2/billing/pods?bucketSize=hour&{query}")
    assert answer["metadata"]["query"]["startTime"] == "2026-06-01T12:00:00.000Z"
    assert answer["records"][0]["gpuAmount"] == pytest.approx(0.74)
    assert (await api.call("GET", "/v2/billing/pods?startTime=yesterday"))[0] == 422


@pytest.mark.parametrize("bucket", ["hour", "day", "week", "month", "year"])
async def test_the_sum_does_not_depend_on_the_bucket(api: Api, bucket: str) -> None:
    await api.make(disk=1)
    await api.pass_time(20 * DAY)
    query = "startTime=2026-01-01T00:00:00Z&endTime=2026-12-31T00:00:00Z"
    _, answer = await api.call("GET", f"/v2/billing/pods?bucketSize={bucket}&{query}")
    assert answer["metadata"]["totals"]["gpuAmount"] == pytest.approx(0.74 * 480)
