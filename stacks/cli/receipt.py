"""What an environment has cost: what ran, how long, by our meter, and by RunPod's bill where it has come already."""

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
from components.runpod.inventory import Held
from components.runpod.marker import marker_of
from stacks.cli.stack import VOLUME, resources

_BILLED_DAYS = 30
"""How far back an endpoint's bill is looked up; RunPod's own choice where nobody says."""


@dataclass(frozen=True)
class Metered:
    """One pod or volume and what it costs."""

    type: str
    id: str
    what: str
    """The GPU, the size, or the name."""
    usd_per_hour: float
    """Pod and container disk together, or the volume; 0 for an endpoint, whose workers come and go."""
    since: datetime | None
    """None when nobody knows: RunPod does not tell when a volume was made."""
    stopped: bool = False
    """It does not run now, so its price times its age says nothing."""

    def usd(self, until: datetime) -> float | None:
        """Price times time in USD; None when the time is not known."""
        return None if self.since is None or self.stopped else self.usd_per_hour * _hours(self.since, until)


@dataclass(frozen=True)
class Entry:
    """A line of the receipt: a thing, with what RunPod has billed for it so far; None when nothing yet."""

    thing: Metered
    billed: float | None = None


def meter(
    pods: Iterable[Pod],
    volumes: Iterable[NetworkVolume],
    state: Mapping[str, Any],
    marks: set[str],
    endpoints: Iterable[Held] = (),
) -> list[Metered]:
    """Everything that carries one of the marks; what a volume's state entry says of its making is taken for its age."""
    made = {item.get("id"): item.get("created") for item in resources(state, VOLUME)}
    own_pods = [pod for pod in pods if _instance(pod.name, pod.env) in marks and pod.status != "TERMINATED"]
    own_volumes = [volume for volume in volumes if _instance(volume.name, {}) in marks]
    own_endpoints = [endpoint for endpoint in endpoints if endpoint.marker and endpoint.marker.instance in marks]
    kept = [_volume(volume, made.get(volume.id)) for volume in own_volumes]
    return [*map(_pod, own_pods), *kept, *map(_endpoint, own_endpoints)]


def ahead(pods: Iterable[Pod], now: datetime) -> timedelta:
    """How far RunPod's clock, by which it bills, is ahead of ours; a container's restart would only seem to lag."""
    running = ((_moment(pod.started_at), pod.runtime) for pod in pods if pod.status == "RUNNING")
    shown = [begin + timedelta(seconds=runtime.uptime) for begin, runtime in running if begin and runtime]
    return max([now, *shown]) - now


def bill(client: Client, things: Iterable[Metered]) -> list[Entry]:
    """Add RunPod's own figures; a key that may not read the bill, or a bill that does not come, stops nothing."""
    return [Entry(thing, _billed(client, thing)) for thing in things]


def lines(entries: Iterable[Entry], until: datetime) -> list[str]:
    """The receipt: one line for each thing, and the sum."""
    listed = list(entries)
    if not listed:
        return ["receipt: nothing of it ran"]
    known = [usd for entry in listed if (usd := entry.thing.usd(until)) is not None]
    unknown = "" if len(known) == len(listed) else ", without what has no known time"
    return [
        "receipt:",
        *(_line(entry, until) for entry in listed),
        f"  together ${sum(known):.4f} by our meter{unknown}",
    ]


def _line(entry: Entry, until: datetime) -> str:
    thing, usd = entry.thing, entry.thing.usd(until)
    billed = "not yet billed" if entry.billed is None else f"${entry.billed:.4f} billed by RunPod so far"
    if thing.type == inventory.ENDPOINT:
        spent = "its workers come and go, what they cost is known to RunPod's bill alone"
    elif thing.stopped:
        spent = "stopped before, for how long is known to RunPod's bill alone"
    elif thing.since is None or usd is None:
        spent = f"since an unknown time at ${thing.usd_per_hour:.4f}/h"
    else:
        spent = f"{_duration(thing.since, until)} at ${thing.usd_per_hour:.4f}/h = ${usd:.4f}"
    return f"  {thing.type} {thing.id} ({thing.what}): {spent}; {billed}"


def _pod(pod: Pod) -> Metered:
    gpu = f"{pod.gpu.count} x {pod.gpu.id}" if pod.gpu else "CPU"
    disk = pod.disk * cost.STORAGE.container_disk / cost.HOURS_PER_MONTH
    return Metered("pod", pod.id, gpu, pod.cost + disk, _moment(pod.created_at), stopped=pod.status == "EXITED")


def _volume(volume: NetworkVolume, made: str | None) -> Metered:
    price = cost.volume_usd_per_month(volume.size) / cost.HOURS_PER_MONTH
    return Metered("volume", volume.id, f"{volume.size} GB", price, _moment(made))


def _endpoint(endpoint: Held) -> Metered:
    return Metered(inventory.ENDPOINT, endpoint.id, endpoint.name, 0.0, None)


def _billed(client: Client, thing: Metered) -> float | None:
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
    """A moment of the API or of the state."""
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


def _instance(name: str, env: Mapping[str, str]) -> str:
    marker = marker_of(name, env)
    return marker.instance if marker else ""
