"""Deletion targets: how to delete, look up and list each kind of resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from components.runpod import account_keys, inventory
from components.runpod.api.client import Client

DRAIN_SECONDS = 300.0
"""Seconds for an endpoint's workers to finish their requests; the deletion ends those that still run."""


@dataclass(frozen=True)
class Target:
    """A resource to delete."""

    what: str
    id: str
    delete: Callable[[str], None]
    status: Callable[[str], str]
    """Returns the current status; raises NotFoundError when the id is unknown."""
    listed: Callable[[], set[str]]
    bills: bool = True
    """Whether it is billed while it exists."""
    park: Callable[[str], None] | None = None
    """Stops new requests, so that running ones can finish before the deletion."""
    busy: Callable[[str], int] = lambda _id: 0
    """Returns the number of remaining workers."""
    drain_seconds: float = DRAIN_SECONDS
    prove: Callable[[], None] = lambda: None
    """Called when the id is unknown at first; raises when that does not prove the deletion."""


def pod(client: Client, pod_id: str) -> Target:
    """Return a pod as a target."""
    return Target(
        "pod",
        pod_id,
        client.delete_pod,
        lambda one: client.get_pod(one).status,
        lambda: {entry.id for entry in client.list_pods() if entry.status != "TERMINATED"},
    )


def volume(client: Client, volume_id: str) -> Target:
    """Return a network volume as a target."""
    return Target(
        "network volume",
        volume_id,
        client.delete_network_volume,
        lambda one: f"{client.get_network_volume(one).size} GB",
        lambda: {entry.id for entry in client.list_network_volumes()},
    )


def endpoint(client: Client, endpoint_id: str, drain_seconds: float = DRAIN_SECONDS) -> Target:
    """Return a serverless endpoint as a target; its workers are billed, so they stop first."""
    return Target(
        "serverless endpoint",
        endpoint_id,
        client.endpoints.delete,
        lambda one: client.endpoints.get(one).type,
        lambda: {entry.id for entry in client.endpoints.all()},
        park=lambda one: _park(client, one),
        busy=lambda one: len(client.list_workers(one)),
        drain_seconds=drain_seconds,
    )


def template(client: Client, template_id: str) -> Target:
    """Return a template as a target."""
    return Target(
        "template",
        template_id,
        client.templates.delete,
        lambda one: client.templates.get(one).category,
        lambda: {entry.id for entry in client.templates.all()},
        bills=False,
    )


def registry(client: Client, registry_id: str) -> Target:
    """Return registry credentials as a target."""
    return Target(
        "registry credentials",
        registry_id,
        client.registries.delete,
        lambda one: client.registries.get(one).name,
        lambda: {entry.id for entry in client.registries.all()},
        bills=False,
    )


def ssh_key(client: Client, key_id: str) -> Target:
    """Return an entry of the account's SSH keys as a target; its id is the comment with the marker."""
    return Target(
        "SSH key",
        key_id,
        lambda one: account_keys.remove(client, one),
        lambda one: account_keys.find(client, one),
        lambda: account_keys.own_entries(client),
        bills=False,
    )


def _park(client: Client, endpoint_id: str) -> None:
    client.endpoints.update(endpoint_id, {"workers": {"min": 0, "max": 0}})


TARGETS: Mapping[str, Callable[[Client, str], Target]] = {
    "pod": pod,
    inventory.ENDPOINT: endpoint,
    "volume": volume,
    inventory.TEMPLATE: template,
    inventory.REGISTRY: registry,
    inventory.SSH_KEY: ssh_key,
}
"""Every kind of resource with a stack's marker, in the order of deletion: each before those it depends on."""
