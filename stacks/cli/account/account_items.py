"""The account's resources and their costs, from RunPod's API and not from the state."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass

from components import cost
from components.runpod import inventory
from components.runpod.api import Client
from components.runpod.api.client import DEFAULT_URL
from components.runpod.api.errors import RunPodError
from components.runpod.api.models import NetworkVolume, Pod
from components.runpod.inventory import AccountResource
from components.runpod.marker import Marker, marker_of
from stacks.cli.errors import CliError
from stacks.cli.pulumi import stack, stack_index
from stacks.cli.pulumi.engine import Engine

_IDLE = frozenset(("EXITED", "TERMINATED"))  # no GPU bills; the container disk is gone


@dataclass(frozen=True)
class AccountItem:
    """A resource of the account. `owner` is a stack's name, `instance <id>` of an unknown stack, or `unknown`."""

    id: str
    type: str
    """pod, volume, endpoint, template, registry or ssh-key."""
    name: str
    status: str
    owner: str
    instance: str | None
    usdPerHour: float  # noqa: N815  (the JSON's own spelling)

    @property
    def label(self) -> str:
        """Type, id, name and status, for messages."""
        return f"{self.type} {self.id} ({self.name}, {self.status})"

    @property
    def usd_per_day(self) -> float:
        """Cost per day in USD."""
        return self.usdPerHour * 24

    def public(self) -> dict[str, object]:
        """The fields that `make pods` prints."""
        return asdict(self)


def client_settings(engine: Engine) -> tuple[str, str]:
    """Return the environment's API key, from its encrypted settings or RUNPOD_API_KEY, and the API's address.

    Raises:
        CliError: no key is known.
    """
    checkout = engine.checkout
    key = engine.environ.get("RUNPOD_API_KEY") or ""
    if "runpod:apiKey" in (checkout.stack_yaml().get("config") or {}):
        stack.ensure(engine)
        key = engine.query("config", "get", "runpod:apiKey").strip()
    if not key:
        raise CliError(
            f"no RunPod API key for {checkout.env}: run `make init ENV={checkout.env}`, or set RUNPOD_API_KEY"
        )
    return key, (checkout.setting("runpod:apiUrl") or DEFAULT_URL).rstrip("/")


@contextmanager
def environment_client(engine: Engine) -> Iterator[Client]:
    """Yield an API client with the environment's key; its errors become CliError."""
    with open_client(*client_settings(engine)) as client:
        yield client


@contextmanager
def open_client(key: str, url: str) -> Iterator[Client]:
    """Yield an API client with this key; its errors become CliError.

    Raises:
        CliError: the API does not answer, or refuses.
    """
    try:
        with closing(Client(key, url)) as client:
            yield client
    except RunPodError as error:
        raise CliError(str(error)) from error


def list_all(engine: Engine) -> list[AccountItem]:
    """Return every resource that is billed or has a marker of this project.

    Raises:
        CliError: the API does not answer, or refuses.
    """
    owned = stack_index.read_index(engine).owners()
    with environment_client(engine) as client:
        return list_items(client, owned)


def list_items(client: Client, owned: Mapping[str, str]) -> list[AccountItem]:
    """Return the account's resources now, without templates, credentials and keys of others, which cost nothing."""
    others = inventory.list_resources(client, warn_unreadable, priced=True)
    return to_items(client.list_pods(), client.list_network_volumes(), owned, others)


def to_items(
    pods: Iterable[Pod],
    volumes: Iterable[NetworkVolume],
    owned: Mapping[str, str],
    others: Iterable[AccountResource] = (),
) -> list[AccountItem]:
    """Convert the account's resources to items; `owned` maps each known instance to its stack."""
    found = []
    for pod in pods:
        marker = marker_of(pod.name, pod.env)
        price = pod.cost if pod.status not in _IDLE else 0.0
        found.append(_item(pod.id, "pod", pod.name, pod.status, marker, owned, price))
    for volume in volumes:
        marker = marker_of(volume.name)
        price = cost.volume_usd_per_month(volume.size) / cost.HOURS_PER_MONTH
        found.append(_item(volume.id, "volume", volume.name, "READY", marker, owned, price))
    for held in others:
        if held.marker or held.kind == inventory.ENDPOINT:
            status = f"{held.workers} WORKERS" if held.kind == inventory.ENDPOINT else "READY"
            found.append(_item(held.id, held.kind, held.name, status, held.marker, owned, held.usd_per_hour))
    return found


def warn_unreadable(what: str) -> None:
    """Print which resources the API key may not list."""
    print(f"the API key may not list {what}, so they were not checked", file=sys.stderr, flush=True)


def _item(
    identity: str, kind: str, name: str, status: str, marker: Marker | None, owned: Mapping[str, str], usd: float
) -> AccountItem:
    instance = marker.instance if marker else None
    owner = owned.get(instance, f"instance {instance}") if instance else "unknown"
    return AccountItem(identity, kind, name, status, owner, instance, round(usd, 6))
