"""What the RunPod account really holds and bills, asked from its API and not from state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from components import cost
from components.runpod.api import Client
from components.runpod.api.client import DEFAULT_URL
from components.runpod.api.errors import RunPodError
from components.runpod.api.models import NetworkVolume, Pod
from components.runpod.marker import Marker, marker_of
from stacks.cli import locks
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.place import PROJECT
from stacks.cli.stack import instance_ids

_IDLE = frozenset(("EXITED", "TERMINATED"))  # no GPU bills; the container disk is gone


@dataclass(frozen=True)
class Item:
    """One pod or volume. `owner` is a stack's name, `instance <id>` of a stack not known here, or `unknown`."""

    id: str
    type: str
    name: str
    status: str
    owner: str
    instance: str | None
    usdPerHour: float  # noqa: N815  (the JSON's own spelling)

    def public(self) -> dict[str, object]:
        """What `make pods` prints of it."""
        return asdict(self)


def client_settings(engine: Engine) -> tuple[str, str]:
    """The environment's own key, from its encrypted settings or RUNPOD_API_KEY, and the API's address.

    Raises:
        CliError: no key is known.
    """
    place = engine.place
    key = engine.environ.get("RUNPOD_API_KEY") or ""
    if "runpod:apiKey" in (place.stack_yaml().get("config") or {}):
        key = engine.ask("config", "get", "runpod:apiKey").strip()
    if not key:
        raise CliError(f"no RunPod API key for {place.env}: run `make init ENV={place.env}`, or set RUNPOD_API_KEY")
    return key, (place.setting("runpod:apiUrl") or DEFAULT_URL).rstrip("/")


def items(engine: Engine) -> list[Item]:
    """Every pod and volume of the account.

    Raises:
        CliError: the API cannot be asked.
    """
    return ask(engine, lambda api: listed(api.list_pods(), api.list_network_volumes(), owners(engine.environ)))


def ask(engine: Engine, question: Callable[[Client], list[Item]]) -> list[Item]:
    """Ask the API once, with its errors as ours."""
    try:
        with closing(Client(*client_settings(engine))) as api:
            return question(api)
    except RunPodError as error:
        raise CliError(str(error)) from error


def listed(pods: Iterable[Pod], volumes: Iterable[NetworkVolume], owned: Mapping[str, str]) -> list[Item]:
    """Pods and volumes as items; `owned` names the stack of each known instance."""
    found = []
    for pod in pods:
        marker = marker_of(pod.name, pod.env)
        price = pod.cost if pod.status not in _IDLE else 0.0
        found.append(_item(pod.id, "pod", pod.name, pod.status, marker, owned, price))
    for volume in volumes:
        marker = marker_of(volume.name)
        price = cost.volume_usd_per_month(volume.size) / cost.HOURS_PER_MONTH
        found.append(_item(volume.id, "volume", volume.name, "READY", marker, owned, price))
    return found


def _item(
    identity: str, kind: str, name: str, status: str, marker: Marker | None, owned: Mapping[str, str], usd: float
) -> Item:
    instance = marker.instance if marker else None
    owner = owned.get(instance, f"instance {instance}") if instance else "unknown"
    return Item(identity, kind, name, status, owner, instance, round(usd, 6))


def owners(environ: Mapping[str, str]) -> dict[str, str]:
    """Stack by instance id, of every stack in this checkout's file backend; none for another kind of backend."""
    backend = locks.backend_folder(environ)
    known: dict[str, str] = {}
    for file in sorted((backend / ".pulumi" / "stacks" / PROJECT).glob("*.json")) if backend else []:
        known.update(dict.fromkeys(_instances(file), file.stem))
    return known


def _instances(file: Path) -> set[str]:
    try:
        checkpoint = json.loads(file.read_text()).get("checkpoint") or {}
    except (OSError, ValueError):
        return set()
    return instance_ids(checkpoint.get("latest") or {})
