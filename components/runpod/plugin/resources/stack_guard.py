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
from components.runpod.plugin.base.resource import REQUIRED, Changes, Failure, Operation, ResourceHandler, token_of
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
"""Kinds of which there are records, as ends of them are called."""


Spared = Callable[[str], bool]
"""Says of a volume's id whether it stays."""


class StillBillingError(RunPodError):
    """Something of the stack lives although everything was asked to end."""


class StackGuardHandler(ResourceHandler):
    """The stack's instance id, and the end of everything that carries it."""

    token = "runpod:index:StackGuard"  # noqa: S105 - a resource type
    defaults = _DEFAULTS
    outputs = ("instanceId",)

    def validate(self, operation: Operation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:  # noqa: ARG002
        """Check the inputs."""
        return inputs, validation.apply({"stack": validation.text, "keepVolumes": validation.flag}, inputs)

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare; the instance id never changes."""
        return Changes(tuple(name for name in _DEFAULTS if state.get(name) != inputs.get(name)))

    def create(self, operation: Operation, inputs: Values) -> tuple[str, Values]:
        """Draw the instance id; it needs the key only so that nothing starts without one."""
        operation.settings.key()
        instance = new_instance()
        return instance, {**inputs, "instanceId": instance}

    def update(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Values:  # noqa: ARG002
        """Take over the new settings for the day of the deletion."""
        return {**state, **inputs}

    def delete(self, operation: Operation, resource_id: str, state: Values) -> None:
        """End everything that carries the instance id, and look again; fails while anything bills."""
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
                raise StillBillingError(f"still there: {left}. Run `pulumi destroy` again.")
        for mark in inventory.marks_of(client, resource_id):
            deletion.delete(
                operation, deletion_targets.template(client, mark)
            )  # Last of all: it shows whose the account is.
        operation.intents.drop_instance(resource_id)


def _spared(operation: Operation, state: Values) -> Spared:
    """Return which volumes stay: as the stack file says now or, where it says nothing, as the last update did."""
    requirement = operation.stack_files.volume(operation.urn)
    keep = bool(state.get("keepVolumes")) if requirement is None else requirement.keeps
    return lambda _volume_id: keep


def _await_late_effects(operation: Operation, client: Client, instance: str) -> None:
    """Wait while a killed run's creation, of which no answer came, may still take effect and bill unseen."""
    bound = operation.settings.late_effect_seconds
    while waiting := [one for one in operation.intents.of_instance(instance) if not one.resource_id]:
        left = bound - min(operation.intents.age(one) for one in waiting)
        if left <= 0 or {one.marker for one in waiting} <= _shown(client):
            break
        operation.reporter.status(f"an interrupted creation may still show for {left:.0f} s; waiting for it")
        operation.sleep(min(_LOOK_EVERY, left))
    _await_unrecorded(operation, client, instance)


def _await_unrecorded(operation: Operation, client: Client, instance: str) -> None:
    """Wait for what another machine's killed run may have asked for: the state says so, and no record is here."""
    recorded = {one.urn for one in operation.intents.of_instance(instance)}
    begun = [urn for urn in operation.pending if token_of(urn) in _TARGET_OF and is_recent(operation, urn)]
    wanted = {urn_hash(urn) for urn in begun if urn not in recorded}
    started, bound = operation.clock(), operation.settings.late_effect_seconds
    while wanted and wanted - _urns(_shown(client), instance):
        left = bound - (operation.clock() - started)
        if left <= 0:
            return
        operation.reporter.status(f"a creation interrupted elsewhere may still show for {left:.0f} s; waiting for it")
        operation.sleep(min(_LOOK_EVERY, left))


def _urns(markers: set[str], instance: str) -> set[str]:
    """Return the hashes of the declared resources of one instance that are among the markers."""
    return {marker.urn for marker in map(parse, markers) if marker and marker.instance == instance}


def _shown(client: Client) -> set[str]:
    """Return the markers of all that the account lists."""
    pods = {str(marker_of(pod.name, pod.env)) for pod in client.list_pods()}
    volumes = {str(marker_of(volume.name)) for volume in client.list_network_volumes()}
    return pods | volumes | {str(held.marker) for held in inventory.list_resources(client, lambda _unseen: None)}


def _end_recorded(operation: Operation, client: Client, instance: str, spared: Spared) -> None:
    """End by id what the records name and the engine has not ended: a list may not show it yet."""
    order = list(deletion_targets.TARGETS)
    records = [one for one in operation.intents.of_instance(instance) if one.resource_id and _kind_of(one) in order]
    for intent in sorted(records, key=lambda one: order.index(_kind_of(one))):
        if _kind_of(intent) != _VOLUME or not spared(intent.resource_id):
            target = deletion_targets.TARGETS[_kind_of(intent)](client, intent.resource_id)
            operation.reporter.warning(_left_behind(target, "unless it is gone already"))
            deletion.delete(operation, target)


def _left_behind(target: deletion_targets.Target, reservation: str = "") -> str:
    bills = " and bills" if target.bills else ""
    return f"{target.what} {target.id} was left behind{bills}{f', {reservation}' if reservation else ''}: ending it"


def _kind_of(intent: Intent) -> str:
    """Return what the target is called that a record's resource is."""
    return _TARGET_OF.get(token_of(intent.urn), "")


def _remaining(operation: Operation, client: Client, instance: str, spared: Spared) -> list[deletion_targets.Target]:
    """Return what carries the instance id; what is used by others comes after them, or it could not be deleted."""
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


def _cannot_see(operation: Operation, what: str) -> None:
    operation.reporter.warning(f"the API key may not list {what}, so nobody looked whether any of this stack are left")
