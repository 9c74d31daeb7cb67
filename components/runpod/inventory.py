"""What an account holds beside pods and volumes: endpoints, whose workers bill, and presets, which cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from components.runpod import account_keys
from components.runpod.api.client import Client
from components.runpod.api.errors import AccessDeniedError, NotFoundError
from components.runpod.api.models_serverless import Endpoint, Worker
from components.runpod.marker import Marker, marker_of, split_name

ENDPOINT = "endpoint"
TEMPLATE = "template"
REGISTRY = "registry"
SSH_KEY = "ssh-key"
ACCOUNT_MARK = "comfyui-account"
"""Base of the name of the template by which a stack knows its account again; it is free and ends with the stack."""


@dataclass(frozen=True)
class AccountResource:
    """One of them."""

    kind: str
    """ENDPOINT, TEMPLATE, REGISTRY or SSH_KEY."""
    id: str
    name: str
    """With the marker, where it is ours."""
    workers: int = 0
    """Of an endpoint: how many run, start or wait now."""
    usd_per_hour: float = 0.0
    """What its workers cost now."""

    @property
    def marker(self) -> Marker | None:
        """The marker in its name; None for what is not of this project."""
        return marker_of(self.name)


OnUnreadable = Callable[[str], None]
"""Told what the API key may not look at."""


def list_resources(client: Client, on_unreadable: OnUnreadable, *, priced: bool = False) -> list[AccountResource]:
    """Return everything of these kinds; `priced` looks up the workers of endpoints and what they cost.

    A key without the permission for a kind cannot have made anything of it either, so that is told and no error.
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
    """Return what carries the mark of one instance of a stack."""
    return [held for held in list_resources(client, on_unreadable) if held.marker and held.marker.instance == instance]


def is_mark(name: str) -> bool:
    """Say whether a template is a stack's mark in the account and no preset of anybody."""
    base, marker = split_name(name)
    return marker is not None and base == ACCOUNT_MARK


def marks_of(client: Client, instance: str) -> list[str]:
    """Return the ids of the templates by which one instance of a stack knows its account."""
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


def _workers(client: Client, endpoint: Endpoint) -> list[Worker]:
    try:
        return client.list_workers(endpoint.id)
    except NotFoundError:
        return []  # Ended since the list was made.


def _prices(client: Client) -> dict[str, float]:
    """Return USD per hour of one GPU, or of one vCPU of a flavour."""
    gpus = {gpu.id: gpu.price.serverless for gpu in client.list_gpu_types()}
    return gpus | {cpu.id: cpu.price.serverless for cpu in client.list_cpu_types(product="SERVERLESS")}


def _price(endpoint: Endpoint, worker: Worker, prices: Mapping[str, float]) -> float:
    if endpoint.cpu:
        return prices.get(endpoint.cpu[0].id, 0.0) * endpoint.cpu[0].vcpu_count
    return prices.get(worker.gpu_type or "", 0.0) * worker.gpu_count


def _templates(client: Client) -> Iterator[AccountResource]:
    templates = (template for template in client.templates.all() if not is_mark(template.name))
    return (AccountResource(TEMPLATE, template.id, template.name) for template in templates)


def _registries(client: Client) -> Iterator[AccountResource]:
    return (AccountResource(REGISTRY, registry.id, registry.name) for registry in client.registries.all())


def _keys(client: Client) -> Iterator[AccountResource]:
    comments = (account_keys.comment(line) for line in client.list_ssh_keys())
    return (AccountResource(SSH_KEY, comment, comment) for comment in comments)
