"""What was spent, in buckets of time; records follow the emulator's clock and lag behind it when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.emulator import emulator
from tests.emulator.clock import iso, parse_iso
from tests.emulator.emulator import account_of
from tests.emulator.problems import invalid
from tests.emulator.state import Span

DEFAULT_DAYS = 30
MAX_BUCKETS = 10_000

Amounts = dict[str, float]

routes = web.RouteTableDef()


@dataclass(frozen=True)
class Query:
    """A time range, snapped to buckets."""

    start: datetime
    end: datetime
    bucket: str

    def buckets(self) -> list[tuple[datetime, datetime]]:
        """Return the buckets of the range, oldest first."""
        found: list[tuple[datetime, datetime]] = []
        start = self.start
        while start < self.end and len(found) < MAX_BUCKETS:
            found.append((start, following(start, self.bucket)))
            start = found[-1][1]
        return found

    def view(self, **more: str | None) -> dict[str, Any]:
        """Return the query as the answer repeats it."""
        start, end = iso(self.start.timestamp()), iso(self.end.timestamp())
        return {"startTime": start, "endTime": end, "bucketSize": self.bucket} | more


def floor(moment: datetime, bucket: str) -> datetime:
    """Return the start of the bucket a moment lies in."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match bucket:
        case "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
    return day


def following(start: datetime, bucket: str) -> datetime:
    """Return the start of the next bucket; 31 days or 366 reach over any month or year."""
    steps = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
    longest = timedelta(days=31 if bucket == "month" else 366)
    return start + steps[bucket] if bucket in steps else floor(start + longest, bucket)


def read_query(request: web.Request) -> Query:
    """Read the time range of a request; by default the last 30 days."""
    now = datetime.fromtimestamp(emulator.of(request).clock.now(), UTC)
    bucket = request.query.get("bucketSize", "day")
    try:
        end = moment(request.query.get("endTime")) or now
        start = moment(request.query.get("startTime")) or end - timedelta(days=DEFAULT_DAYS)
    except ValueError as error:
        raise invalid(f"startTime or endTime: {error}") from error
    if last := int(request.query.get("lastN", "0")):
        start = floor(now, bucket)
        for _ in range(last - 1):
            start = floor(start - timedelta(seconds=1), bucket)
        end = now
    return Query(floor(start, bucket), following(floor(end, bucket), bucket), bucket)


def moment(text: str | None) -> datetime | None:
    """Return a moment of a query parameter, None when it is not given."""
    return datetime.fromtimestamp(parse_iso(text), UTC) if text else None


def spent(spans: Iterable[Span], start: float, end: float) -> Amounts:
    """Return USD by what was billed between two moments."""
    sums = {"gpu": 0.0, "cpu": 0.0, "disk": 0.0}
    for span in spans:
        hours = max(0.0, min(end, span.end or end) - max(start, span.start)) / 3600
        sums["gpu"] += span.gpu * hours
        sums["cpu"] += span.cpu * hours
        sums["disk"] += span.disk * hours
    return sums


Charge = Callable[[Amounts], Amounts]


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


def records(query: Query, spans: list[Span], charge: Charge, known: float) -> list[dict[str, Any]]:
    """Return the buckets in which something was spent, up to the moment that billing knows of."""
    found = []
    for start, end in query.buckets():
        amounts = charge(spent(spans, start.timestamp(), min(end.timestamp(), known)))
        if amounts["totalAmount"] > 0:
            times = {"startTime": iso(start.timestamp()), "endTime": iso(end.timestamp())}
            found.append(times | amounts)
    return found


def totals(found: list[dict[str, Any]], empty: Amounts) -> Amounts:
    """Return the sums of records."""
    return {name: sum(record[name] for record in found) for name in empty}


def known_until(request: web.Request) -> float:
    """Return the moment up to which billing has caught up."""
    emu = emulator.of(request)
    return emu.clock.now() - emu.conditions.billing_lag_seconds


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
    found = []
    for start, end in query.buckets():
        window = (start.timestamp(), min(end.timestamp(), known))
        amounts = NOTHING | account_amounts(
            spent(pods, *window), {v.id: (v.type, spent(v.spans, *window)) for v in volumes}
        )
        if amounts["totalAmount"] > 0:
            found.append({"startTime": iso(window[0]), "endTime": iso(end.timestamp())} | amounts)
    metadata = {"query": query.view(), "recordCount": len(found), "totals": totals(found, NOTHING)}
    return web.json_response({"records": found, "metadata": metadata})


def account_amounts(pods: Amounts, volumes: dict[str, tuple[str, Amounts]]) -> Amounts:
    """Return the members of an account's record that this RunPod can fill."""
    fast = sum(sums["disk"] for kind, sums in volumes.values() if kind == "HIGH_PERFORMANCE")
    standard = sum(sums["disk"] for kind, sums in volumes.values() if kind != "HIGH_PERFORMANCE")
    return {
        "totalAmount": sum(pods.values()) + fast + standard,
        "podGpuAmount": pods["gpu"],
        "podCpuAmount": pods["cpu"],
        "podDiskAmount": pods["disk"],
        "storageStandardAmount": standard,
        "storageHighPerformanceAmount": fast,
    }
