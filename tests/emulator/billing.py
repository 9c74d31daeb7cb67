"""The billing API: costs in time buckets; records follow the emulator's clock and may lag behind it."""

from __future__ import annotations

from aiohttp import web

from tests.emulator import emulator, workers
from tests.emulator.buckets import Amounts, known_until, read_query, records, spent, totals
from tests.emulator.clock import iso
from tests.emulator.emulator import account_of

routes = web.RouteTableDef()


def pod_charge(sums: Amounts) -> Amounts:
    """Return the amounts of a pod record."""
    return {
        "totalAmount": sum(sums.values()),
        "gpuAmount": sums["gpu"],
        "cpuAmount": sums["cpu"],
        "diskAmount": sums["disk"],
    }


def volume_charge(sums: Amounts) -> Amounts:
    """Return the amounts of a volume record of the standard tier."""
    return {"totalAmount": sums["disk"], "standardAmount": sums["disk"], "highPerformanceAmount": 0.0}


def fast_volume_charge(sums: Amounts) -> Amounts:
    """Return the amounts of a volume record of the high-performance tier."""
    return {"totalAmount": sums["disk"], "standardAmount": 0.0, "highPerformanceAmount": sums["disk"]}


@routes.get("/v2/billing/pods")
async def pod_billing(request: web.Request) -> web.Response:
    """Return what pods have cost."""
    query, wanted = read_query(request), request.query.get("podId")
    found = [
        record | {"podId": pod.id}
        for pod in emulator.of(request).state.pods.values()
        if pod.account == account_of(request) and wanted in (None, pod.id)
        for record in records(query, pod.spans, pod_charge, known_until(request))
    ]
    metadata = {
        "query": query.view(podId=wanted),
        "recordCount": len(found),
        "uniquePodCount": len({record["podId"] for record in found}),
        "totals": totals(found, pod_charge(spent([], 0, 0))),
    }
    return web.json_response({"records": found, "metadata": metadata})


def serverless_charge(sums: Amounts) -> Amounts:
    """Return the amounts of an endpoint's record; disk and fee are in the price of the workers here."""
    parts = {"gpuAmount": sums["gpu"], "cpuAmount": sums["cpu"], "diskAmount": 0.0, "feeAmount": 0.0}
    return {"totalAmount": sum(parts.values()), **parts}


@routes.get("/v2/billing/serverless")
async def serverless_billing(request: web.Request) -> web.Response:
    """Return what serverless endpoints have cost."""
    query, wanted = read_query(request), request.query.get("serverlessId")
    found = [
        record | {"serverlessId": endpoint.id}
        for endpoint in emulator.of(request).state.endpoints.values()
        if endpoint.account == account_of(request) and wanted in (None, endpoint.id)
        for record in records(query, workers.spans(endpoint), serverless_charge, known_until(request))
    ]
    metadata = {
        "query": query.view(serverlessId=wanted),
        "recordCount": len(found),
        "uniqueServerlessCount": len({record["serverlessId"] for record in found}),
        "totals": totals(found, serverless_charge(spent([], 0, 0))),
    }
    return web.json_response({"records": found, "metadata": metadata})


@routes.get("/v2/billing/endpoints")
async def public_endpoint_billing(request: web.Request) -> web.Response:
    """Return what RunPod's public endpoints have cost: nothing, because nobody calls them here."""
    metadata = {"query": read_query(request).view(), "recordCount": 0, "totals": {"totalAmount": 0.0}}
    return web.json_response({"records": [], "metadata": metadata})


@routes.get("/v2/billing/clusters")
async def cluster_billing(request: web.Request) -> web.Response:
    """Return what clusters have cost: nothing, because this RunPod has none."""
    nothing = dict.fromkeys(("totalAmount", "gpuAmount", "diskAmount", "networkingAmount"), 0.0)
    metadata = {"query": read_query(request).view(clusterId=request.query.get("clusterId")), "recordCount": 0}
    metadata |= {"uniqueClusterCount": 0, "totals": nothing}
    return web.json_response({"records": [], "metadata": metadata})


@routes.get("/v2/billing/network-volumes")
async def volume_billing(request: web.Request) -> web.Response:
    """Return what network volumes have cost."""
    query, wanted = read_query(request), request.query.get("networkVolumeId")
    found = []
    for volume in emulator.of(request).state.volumes.values():
        if volume.account == account_of(request) and wanted in (None, volume.id):
            charge = fast_volume_charge if volume.type == "HIGH_PERFORMANCE" else volume_charge
            own = records(query, volume.spans, charge, known_until(request))
            found += [record | {"networkVolumeId": volume.id} for record in own]
    metadata = {
        "query": query.view(networkVolumeId=wanted),
        "recordCount": len(found),
        "uniqueNetworkVolumeCount": len({record["networkVolumeId"] for record in found}),
        "totals": totals(found, volume_charge(spent([], 0, 0))),
    }
    return web.json_response({"records": found, "metadata": metadata})


NOTHING = dict.fromkeys(
    (
        "totalAmount",
        "podGpuAmount",
        "podCpuAmount",
        "podDiskAmount",
        "serverlessGpuAmount",
        "serverlessCpuAmount",
        "serverlessDiskAmount",
        "serverlessFeeAmount",
        "storageStandardAmount",
        "storageHighPerformanceAmount",
        "endpointAmount",
        "clusterGpuAmount",
        "clusterDiskAmount",
        "clusterNetworkingAmount",
    ),
    0.0,
)


@routes.get("/v2/billing")
async def all_billing(request: web.Request) -> web.Response:
    """Return what the account has cost, all kinds in one record a bucket."""
    query, known, state = read_query(request), known_until(request), emulator.of(request).state
    pods = [span for pod in state.pods.values() if pod.account == account_of(request) for span in pod.spans]
    volumes = [v for v in state.volumes.values() if v.account == account_of(request)]
    endpoints = [e for e in state.endpoints.values() if e.account == account_of(request)]
    working = [span for endpoint in endpoints for span in workers.spans(endpoint)]
    found = []
    for start, end in query.buckets():
        window = (start.timestamp(), min(end.timestamp(), known))
        storage = {v.id: (v.type, spent(v.spans, *window)) for v in volumes}
        amounts = NOTHING | account_amounts(spent(pods, *window), storage, spent(working, *window))
        if amounts["totalAmount"] > 0:
            found.append({"startTime": iso(window[0]), "endTime": iso(end.timestamp())} | amounts)
    metadata = {"query": query.view(), "recordCount": len(found), "totals": totals(found, NOTHING)}
    return web.json_response({"records": found, "metadata": metadata})


def account_amounts(pods: Amounts, volumes: dict[str, tuple[str, Amounts]], serverless: Amounts) -> Amounts:
    """Return the members of an account's record that this RunPod can fill."""
    fast = sum(sums["disk"] for kind, sums in volumes.values() if kind == "HIGH_PERFORMANCE")
    standard = sum(sums["disk"] for kind, sums in volumes.values() if kind != "HIGH_PERFORMANCE")
    return {
        "totalAmount": sum(pods.values()) + fast + standard + sum(serverless.values()),
        "serverlessGpuAmount": serverless["gpu"],
        "serverlessCpuAmount": serverless["cpu"],
        "podGpuAmount": pods["gpu"],
        "podCpuAmount": pods["cpu"],
        "podDiskAmount": pods["disk"],
        "storageStandardAmount": standard,
        "storageHighPerformanceAmount": fast,
    }
