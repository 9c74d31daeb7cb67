"""Resources of the account other than pods and volumes: endpoints, whose workers are billed, and free presets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from components.runpod import account_keys
from components.runpod.api.client import Client
from components.runpod.api.errors import AccessDeniedError, NotFoundError
from components.runpod.api.models_serverless import Endpoint, EndpointWorker
from components.runpod.marker import Marker, marker_of, split_name

ENDPOINT = "endpoint"
TEMPLATE = "template"
REGISTRY = "registry"
SSH_KEY = "ssh-key"
ACCOUNT_MARK = "comfyui-account"
"""Base name of the account marker: a free template by which a stack recognises its account."""


@dataclass(frozen=True)
class AccountResource:
    """An endpoint, template, registry credential or SSH key."""

    kind: str
    """ENDPOINT, TEMPLATE, REGISTRY or SSH_KEY."""
    id: str
    name: str
    """Name, which includes the marker for a resource of this project."""
    workers: int = 0
    """Running, starting and idle workers of an endpoint."""
    usd_per_hour: float = 0.0
    """Current price of its workers, in USD per hour."""

    @property
    def marker(self) -> Marker | None:
        """The marker in its name; None when it is not of this project."""
        return marker_of(self.name)


OnUnreadable = Callable[[str], None]
"""Called with the kind of resource that the API key may not list."""


def list_resources(client: Client, on_unreadable: OnUnreadable, *, priced: bool = False) -> list[AccountResource]:
    """Return all resources of these kinds; `priced` also looks up the workers of endpoints and their price.

    A key without permission for a kind cannot have created any either, so this is reported and is not an error.
    """
    kinds = {
        "serverless endpoints": partial(_endpoints, client, priced=priced),
        "templates": partial(_templates, client),
        "registry credentials": partial(_registries, client),
        "SSH keys": partial(_keys, client),
    }
    return [held for what, find in kinds.items() for held in _seen(what, find, on_unreadable)]


def endpoints(client: Client, *, priced: bool = True) -> list[AccountResource]:
    """Return the serverless endpoints; none where the API key may not list them."""
    return _seen("serverless endpoints", partial(_endpoints, client, priced=priced), lambda _what: None)


def of_instance(client: Client, instance: str, on_unreadable: OnUnreadable) -> list[AccountResource]:
    """Return the resources with the marker of one instance of a stack."""
    return [held for held in list_resources(client, on_unreadable) if held.marker and held.marker.instance == instance]


def is_account_marker(name: str) -> bool:
    """Return whether a template is an account marker, not a preset."""
    base, marker = split_name(name)
    return marker is not None and base == ACCOUNT_MARK


def account_markers(client: Client, instance: str) -> list[str]:
    """Return the ids of one instance's account markers."""
    try:
        found = [(template.id, split_name(template.name)) for template in client.templates.all()]
    except AccessDeniedError:
        return []
    return [one for one, (base, marker) in found if base == ACCOUNT_MARK and marker and marker.instance == instance]


def _seen(
    what: str, find: Callable[[], Iterable[AccountResource]], on_unreadable: OnUnreadable
) -> list[AccountResource]:
    try:
        return list(find())
    except AccessDeniedError:
        on_unreadable(what)
        return []


def _endpoints(client: Client, *, priced: bool) -> Iterator[AccountResource]:
    endpoints = client.endpoints.all()
    working = {endpoint.id: _workers(client, endpoint) if priced else [] for endpoint in endpoints}
    prices = _prices(client) if any(working.values()) else {}
    for endpoint in endpoints:
        workers = working[endpoint.id]
        usd = sum(_price(endpoint, worker, prices) for worker in workers)
        yield AccountResource(ENDPOINT, endpoint.id, endpoint.name, len(workers), usd)


def _workers(client: Client, endpoint: Endpoint) -> list[EndpointWorker]:
    try:
        return client.list_workers(endpoint.id)
    except NotFoundError:
        return []  # Deleted since it was listed.


def _prices(client: Client) -> dict[str, float]:
    """Return USD per hour of one GPU, or of one vCPU of a flavour."""
    gpus = {gpu.id: gpu.price.serverless for gpu in client.list_gpu_types()}
    return gpus | {cpu.id: cpu.price.serverless for cpu in client.list_cpu_types(product="SERVERLESS")}


def _price(endpoint: Endpoint, worker: EndpointWorker, prices: Mapping[str, float]) -> float:
    if endpoint.cpu:
        return prices.get(endpoint.cpu[0].id, 0.0) * endpoint.cpu[0].vcpu_count
    return prices.get(worker.gpu_type or "", 0.0) * worker.gpu_count


def _templates(client: Client) -> Iterator[AccountResource]:
    templates = (template for template in client.templates.all() if not is_account_marker(template.name))
    return (AccountResource(TEMPLATE, template.id, template.name) for template in templates)


def _registries(client: Client) -> Iterator[AccountResource]:
    return (AccountResource(REGISTRY, registry.id, registry.name) for registry in client.registries.all())


def _keys(client: Client) -> Iterator[AccountResource]:
    comments = (account_keys.comment(line) for line in client.list_ssh_keys())
    return (AccountResource(SSH_KEY, comment, comment) for comment in comments)
