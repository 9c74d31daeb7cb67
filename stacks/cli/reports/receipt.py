"""The cost of an environment: what ran and for how long, by this project's meter and by RunPod's bill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from components import cost
from components.runpod import inventory
from components.runpod.api import Client
from components.runpod.api.errors import RunPodError
from components.runpod.api.models import BillingRecord, NetworkVolume, Pod
from components.runpod.inventory import AccountResource
from components.runpod.marker import instance_of
from stacks.cli.pulumi.stack import VOLUME, resources

_BILLED_DAYS = 30
"""Days of an endpoint's bill to query; RunPod's own default."""


@dataclass(frozen=True)
class CostItem:
    """One pod or volume and what it costs."""

    type: str
    id: str
    what: str
    """The GPU, the size, or the name."""
    usd_per_hour: float
    """Pod and container disk together, or the volume; 0 for an endpoint, whose number of workers varies."""
    since: datetime | None
    """None when unknown: RunPod does not report when a volume was created."""
    stopped: bool = False
    """Whether it does not run now; its price times its age is then not its cost."""
    until: datetime | None = None
    """When `make pause` deleted it; None otherwise."""

    def usd(self, until: datetime) -> float | None:
        """Return price times time in USD; None when the time is unknown."""
        end = self.until or until
        return None if self.since is None or self.stopped else self.usd_per_hour * _hours(self.since, end)


@dataclass(frozen=True)
class ReceiptLine:
    """A line of the receipt: an item, and the amount that RunPod has billed so far; None when nothing yet."""

    thing: CostItem
    billed: float | None = None


def meter(
    pods: Iterable[Pod],
    volumes: Iterable[NetworkVolume],
    state: Mapping[str, Any],
    instances: set[str],
    endpoints: Iterable[AccountResource] = (),
) -> list[CostItem]:
    """Return all resources of these instances; a volume's age comes from its entry in the state."""
    made = {item.get("id"): item.get("created") for item in resources(state, VOLUME)}
    own_pods = [pod for pod in pods if instance_of(pod.name, pod.env) in instances and pod.status != "TERMINATED"]
    own_volumes = [volume for volume in volumes if instance_of(volume.name) in instances]
    own_endpoints = [endpoint for endpoint in endpoints if endpoint.marker and endpoint.marker.instance in instances]
    kept = [_volume(volume, made.get(volume.id)) for volume in own_volumes]
    return [*map(_pod, own_pods), *kept, *map(_endpoint, own_endpoints)]


def clock_lead(pods: Iterable[Pod], now: datetime) -> timedelta:
    """Return by how much RunPod's clock, by which it bills, is ahead; a container's restart can only reduce it."""
    running = ((_moment(pod.started_at), pod.runtime) for pod in pods if pod.status == "RUNNING")
    shown = [begin + timedelta(seconds=runtime.uptime) for begin, runtime in running if begin and runtime]
    return max([now, *shown]) - now


def add_billed(client: Client, things: Iterable[CostItem]) -> list[ReceiptLine]:
    """Add the amounts that RunPod billed; an unreadable bill is left out and is not an error."""
    return [ReceiptLine(thing, _billed(client, thing)) for thing in things]


def lines(entries: Iterable[ReceiptLine], until: datetime) -> list[str]:
    """Return the receipt: one line for each item, and the sum."""
    listed = list(entries)
    if not listed:
        return ["receipt: nothing was running"]
    known = [usd for entry in listed if (usd := entry.thing.usd(until)) is not None]
    unknown = "" if len(known) == len(listed) else ", without resources whose time is unknown"
    return [
        "receipt:",
        *(_line(entry, until) for entry in listed),
        f"  total ${sum(known):.4f} by this project's meter{unknown}",
    ]


def _line(entry: ReceiptLine, until: datetime) -> str:
    thing, usd = entry.thing, entry.thing.usd(until)
    billed = "not yet billed" if entry.billed is None else f"${entry.billed:.4f} billed by RunPod so far"
    if thing.type == inventory.ENDPOINT:
        spent = "only RunPod's bill shows what its workers cost"
    elif thing.stopped:
        spent = "stopped at times; only RunPod's bill shows for how long"
    elif thing.since is None or usd is None:
        spent = f"since an unknown time at ${thing.usd_per_hour:.4f}/h"
    else:
        spent = f"{_duration(thing.since, thing.until or until)} at ${thing.usd_per_hour:.4f}/h = ${usd:.4f}"
    ended = ", ended by a pause" if thing.until else ""
    return f"  {thing.type} {thing.id} ({thing.what}{ended}): {spent}; {billed}"


def _pod(pod: Pod) -> CostItem:
    gpu = f"{pod.gpu.count} x {pod.gpu.id}" if pod.gpu else "CPU"
    disk = pod.disk * cost.STORAGE.container_disk / cost.HOURS_PER_MONTH
    return CostItem("pod", pod.id, gpu, pod.cost + disk, _moment(pod.created_at), stopped=pod.status == "EXITED")


def _volume(volume: NetworkVolume, made: str | None) -> CostItem:
    price = cost.volume_usd_per_month(volume.size) / cost.HOURS_PER_MONTH
    return CostItem("volume", volume.id, f"{volume.size} GB", price, _moment(made))


def _endpoint(endpoint: AccountResource) -> CostItem:
    return CostItem(inventory.ENDPOINT, endpoint.id, endpoint.name, 0.0, None)


def _billed(client: Client, thing: CostItem) -> float | None:
    unknown = timedelta(days=_BILLED_DAYS) if thing.type == inventory.ENDPOINT else timedelta()
    since = (thing.since or datetime.now(UTC) - unknown).strftime("%Y-%m-%dT%H:%M:%SZ")
    ask: Mapping[str, Callable[[str, str], list[BillingRecord]]] = {
        "pod": client.bill_of_pod,
        "volume": client.bill_of_network_volume,
        inventory.ENDPOINT: client.bill_of_endpoint,
    }
    try:
        records = ask[thing.type](thing.id, since)
    except RunPodError:
        return None
    return sum(record.total for record in records) if records else None


def _moment(text: str | None) -> datetime | None:
    """Parse a time of the API or of the state; None when it is missing or invalid."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def _hours(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds()) / 3600


def _duration(since: datetime, until: datetime) -> str:
    minutes = round(_hours(since, until) * 60)
    days, hours = divmod(minutes // 60, 24)
    return " ".join(
        [*([f"{days} d"] if days else []), *([f"{hours} h"] if days or hours else []), f"{minutes % 60} min"]
    )
