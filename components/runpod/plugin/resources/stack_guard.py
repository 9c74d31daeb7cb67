"""The StackGuard resource."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from components.runpod import inventory
from components.runpod.api.client import Client
from components.runpod.api.errors import RunPodError
from components.runpod.intents import Intent
from components.runpod.marker import instance_of, marker_of, new_instance, parse, urn_hash
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import (
    REQUIRED,
    Changes,
    Failure,
    ProviderOperation,
    ResourceHandler,
    token_of,
)
from components.runpod.plugin.lifecycle import deletion, deletion_targets
from components.runpod.plugin.lifecycle.creation import is_recent

_DEFAULTS = {"stack": REQUIRED, "keepVolumes": False}
_LOOKS = 3
_LOOK_EVERY = 2.0
_VOLUME = "volume"
_TARGET_OF = {
    "runpod:index:Pod": "pod",
    "runpod:index:NetworkVolume": _VOLUME,
    "runpod:index:Endpoint": inventory.ENDPOINT,
    "runpod:index:Template": inventory.TEMPLATE,
    "runpod:index:ContainerRegistryAuth": inventory.REGISTRY,
}
"""Deletion targets by the resource types that have records."""


Spared = Callable[[str], bool]
"""Returns whether the volume with this id is kept."""


class StillBillingError(RunPodError):
    """Resources of the stack still exist after their deletion was requested."""


class StackGuardHandler(ResourceHandler):
    """The stack's instance id; its deletion deletes everything with that id."""

    token = "runpod:index:StackGuard"  # noqa: S105 - a resource type
    defaults = _DEFAULTS
    outputs = ("instanceId",)

    def validate(self, operation: ProviderOperation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:  # noqa: ARG002
        """Check the inputs."""
        return inputs, validation.apply({"stack": validation.text, "keepVolumes": validation.flag}, inputs)

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare; the instance id never changes."""
        return Changes(tuple(name for name in _DEFAULTS if state.get(name) != inputs.get(name)))

    def create(self, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:
        """Generate the instance id; the key is required so that no update starts without one."""
        operation.settings.key()
        instance = new_instance()
        return instance, {**inputs, "instanceId": instance}

    def update(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Values:  # noqa: ARG002
        """Store the new settings for the deletion."""
        return {**state, **inputs}

    def delete(self, operation: ProviderOperation, resource_id: str, state: Values) -> None:
        """Delete everything with the instance id, and verify it; fails while anything is billed."""
        client, spared = operation.client(), _spared(operation, state)
        _await_late_effects(operation, client, resource_id)
        _end_recorded(operation, client, resource_id, spared)
        for _ in range(_LOOKS):
            targets = _remaining(operation, client, resource_id, spared)
            if not targets:
                break
            for target in targets:
                operation.reporter.warning(_left_behind(target))
                deletion.delete(operation, target)
        else:
            if remaining := _remaining(operation, client, resource_id, spared):
                left = ", ".join(f"{target.what} {target.id}" for target in remaining)
                raise StillBillingError(f"not deleted: {left}. Run `pulumi destroy` again.")
        for marker_id in inventory.account_markers(client, resource_id):
            deletion.delete(
                operation, deletion_targets.template(client, marker_id)
            )  # Last, because it identifies the account.
        operation.intents.drop_instance(resource_id)


def _spared(operation: ProviderOperation, state: Values) -> Spared:
    """Return which volumes are kept, by the current stack file or else by the last update."""
    requirement = operation.stack_files.volume(operation.urn)
    keep = bool(state.get("keepVolumes")) if requirement is None else requirement.keeps
    return lambda _volume_id: keep


def _await_late_effects(operation: ProviderOperation, client: Client, instance: str) -> None:
    """Wait while a killed run's creation without an answer may still take effect."""
    bound = operation.settings.late_effect_seconds
    while waiting := [one for one in operation.intents.of_instance(instance) if not one.resource_id]:
        left = bound - min(operation.intents.age(one) for one in waiting)
        if left <= 0 or {one.marker for one in waiting} <= _shown(client):
            break
        operation.reporter.status(f"an interrupted creation may appear for another {left:.0f} s; waiting")
        operation.sleep(min(_LOOK_EVERY, left))
    _await_unrecorded(operation, client, instance)


def _await_unrecorded(operation: ProviderOperation, client: Client, instance: str) -> None:
    """Wait for the effect of another machine's killed run, which the state contains and no local record."""
    recorded = {one.urn for one in operation.intents.of_instance(instance)}
    begun = [urn for urn in operation.pending if token_of(urn) in _TARGET_OF and is_recent(operation, urn)]
    wanted = {urn_hash(urn) for urn in begun if urn not in recorded}
    started, bound = operation.clock(), operation.settings.late_effect_seconds
    while wanted and wanted - _urns(_shown(client), instance):
        left = bound - (operation.clock() - started)
        if left <= 0:
            return
        operation.reporter.status(
            f"a creation interrupted on another machine may appear for another {left:.0f} s; waiting"
        )
        operation.sleep(min(_LOOK_EVERY, left))


def _urns(markers: set[str], instance: str) -> set[str]:
    """Return the URN hashes of one instance among the markers."""
    return {marker.urn for marker in map(parse, markers) if marker and marker.instance == instance}


def _shown(client: Client) -> set[str]:
    """Return the markers of all listed resources."""
    pods = {str(marker_of(pod.name, pod.env)) for pod in client.list_pods()}
    volumes = {str(marker_of(volume.name)) for volume in client.list_network_volumes()}
    return pods | volumes | {str(held.marker) for held in inventory.list_resources(client, lambda _unseen: None)}


def _end_recorded(operation: ProviderOperation, client: Client, instance: str, spared: Spared) -> None:
    """Delete by id the recorded resources that the engine has not deleted; a list may not show them yet."""
    order = list(deletion_targets.TARGETS)
    records = [one for one in operation.intents.of_instance(instance) if one.resource_id and _kind_of(one) in order]
    for intent in sorted(records, key=lambda one: order.index(_kind_of(one))):
        if _kind_of(intent) != _VOLUME or not spared(intent.resource_id):
            target = deletion_targets.TARGETS[_kind_of(intent)](client, intent.resource_id)
            operation.reporter.warning(_left_behind(target, "unless it is already deleted"))
            deletion.delete(operation, target)


def _left_behind(target: deletion_targets.Target, reservation: str = "") -> str:
    bills = " and is billed" if target.bills else ""
    return f"{target.what} {target.id} is a leftover{bills}{f', {reservation}' if reservation else ''}: deleting it"


def _kind_of(intent: Intent) -> str:
    """Return the kind of deletion target for a record."""
    return _TARGET_OF.get(token_of(intent.urn), "")


def _remaining(
    operation: ProviderOperation, client: Client, instance: str, spared: Spared
) -> list[deletion_targets.Target]:
    """Return the resources with the instance id in the order of deletion: each before those it depends on."""
    pods = [
        deletion_targets.pod(client, pod.id)
        for pod in client.list_pods()
        if pod.status != "TERMINATED" and instance_of(pod.name, pod.env) == instance
    ]
    own = [volume.id for volume in client.list_network_volumes() if instance_of(volume.name) == instance]
    volumes = [deletion_targets.volume(client, volume_id) for volume_id in own if not spared(volume_id)]
    held = inventory.of_instance(client, instance, partial(_cannot_see, operation))
    others = [deletion_targets.TARGETS[one.kind](client, one.id) for one in held]
    working = [target for target in others if target.bills]
    return [*pods, *working, *volumes, *(target for target in others if not target.bills)]


def _cannot_see(operation: ProviderOperation, what: str) -> None:
    operation.reporter.warning(
        f"the API key may not list {what}, so leftovers of this stack among them were not checked"
    )
