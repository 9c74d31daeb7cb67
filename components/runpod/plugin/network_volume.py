"""The NetworkVolume resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.runpod.api.client import Client
from components.runpod.api.collection import Collection
from components.runpod.api.errors import RunPodError
from components.runpod.api.models import NetworkVolume
from components.runpod.marker import Marker, marker_of, parse
from components.runpod.placement import Candidate, PlacementError, volume_candidates
from components.runpod.plugin import checks, ending, gpu_wish
from components.runpod.plugin.kind import REQUIRED, Changes, Failure, Operation
from components.runpod.plugin.marked import MarkedKind, changed_members
from components.runpod.plugin.values import Values, differs, unknown

_DEFAULTS = {
    "name": REQUIRED,
    "size": REQUIRED,
    "guard": REQUIRED,
    "dataCenterIds": [],
    "gpuTypeIdList": [],
    "gpuRequirement": {},
    "gpuCount": 1,
    "cloudType": "SECURE",
    "isNextGenStorage": False,
}

_RULES: dict[str, checks.Rule] = {
    "name": checks.name,
    "size": checks.whole(10, 4096, "GB"),
    "guard": checks.text,
    "dataCenterIds": checks.data_centers,
    "gpuRequirement": gpu_wish.requirement,
    "gpuCount": checks.whole(1, 16, "GPUs"),
    "cloudType": checks.one_of("SECURE", "COMMUNITY"),
    "isNextGenStorage": checks.flag,
}


class VolumeInUseError(RunPodError):
    """A volume cannot be deleted while somebody else's pod has it."""


class NetworkVolumeKind(MarkedKind[NetworkVolume]):
    """A network volume."""

    token = "runpod:index:NetworkVolume"  # noqa: S105 - a resource type
    what = "network volume"
    id_output = "networkVolumeId"
    defaults = _DEFAULTS
    outputs = ("networkVolumeId", "dataCenterId", "storageType", "physicalName", "marker")
    replacing = frozenset({"guard", "isNextGenStorage"})

    def validate(self, operation: Operation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Check every input; a volume never shrinks, so one that would keeps the size it has."""
        wrong = checks.apply(_RULES, inputs)
        if not olds:  # What it is for matters at creation alone: the market has no say in a volume that exists.
            wrong += _place(operation, inputs) if not wrong else []
        return (inputs if wrong else _never_smaller(operation, olds, inputs)), wrong

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare what is there with what is wanted; where the GPUs are mattered at creation alone."""
        updates = tuple(name for name in ("name", "size") if differs(state, inputs, name))
        replaces = [name for name in self.replacing if differs(state, inputs, name)]
        centers = inputs["dataCenterIds"]
        if centers and not unknown(centers) and state.get("dataCenterId") not in centers:
            replaces.append("dataCenterIds")
        return Changes(updates, tuple(sorted(replaces)))

    def collection(self, client: Client) -> Collection[NetworkVolume]:
        """Return the account's volumes."""
        return client.network_volumes

    def target(self, client: Client, resource_id: str, state: Values) -> ending.Target:  # noqa: ARG002
        """Return a volume as something to end."""
        return ending.volume(client, resource_id)

    def candidates(self, operation: Operation, inputs: Values) -> list[Candidate]:
        """Return where the wanted GPU is in stock; where none could be had after all comes last."""
        client = operation.client()
        avoided = {volume.data_center for volume in _trapped(operation, inputs)}
        return sorted(_candidates(client, inputs), key=lambda candidate: candidate.data_center in avoided)

    def decide(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Changes:
        """Compare; an empty volume moves when no pod could be had where it is."""
        changes = self.diff(state, inputs)
        if changes.replaces or not operation.intents.is_trapped(resource_id):
            return changes
        operation.screen.info(
            f"network volume {resource_id} is new and empty, and no pod could be had in its data centre: it moves"
        )
        return Changes(changes.updates, ("dataCenterIds",))

    def body(self, inputs: Values, name: str, candidate: Candidate) -> dict[str, Any]:
        """Return the request that makes the volume."""
        place = {"dataCenter": candidate.data_center, "type": _storage(inputs)}
        return {"name": name, "size": inputs["size"], **place}

    def patch(self, live: NetworkVolume, inputs: Values, name: str) -> dict[str, Any]:
        """Rename or grow."""
        return changed_members(live, {"name": name, "size": inputs["size"]})

    def observe(self, live: NetworkVolume, inputs: Values) -> Values:  # noqa: ARG002
        """Return what is seen of a volume."""
        return {
            "size": live.size,
            "isNextGenStorage": live.type == "HIGH_PERFORMANCE",
            "dataCenterId": live.data_center,
            "storageType": live.type,
        }

    def create(self, operation: Operation, inputs: Values) -> tuple[str, Values]:
        """Create the volume where the wanted GPU is in stock."""
        made, outputs = super().create(operation, inputs)
        for volume in _trapped(operation, inputs):
            # The engine would leave a volume that is to be kept; an empty one is worth nothing and bills.
            operation.screen.info(f"ending the empty network volume {volume.id} in {volume.data_center}")
            super().delete(operation, volume.id, {})
        operation.screen.info(f"network volume {made}: {outputs['size']} GB in {outputs['dataCenterId']}")
        return made, outputs

    def delete(self, operation: Operation, resource_id: str, state: Values) -> None:
        """End the volume, after the stack's own leftovers that still hold it, and look until it is gone."""
        client, marker = operation.client(), parse(str(state.get("marker", "")))

        def release_and_delete(volume_id: str) -> None:
            # Before every attempt: a list that lags behind does not show a killed run's pod at first.
            _release(operation, client, volume_id, marker)
            client.delete_network_volume(volume_id)

        ending.end(operation, replace(ending.volume(client, resource_id), delete=release_and_delete))

    def meet_twin(self, operation: Operation, client: Client, twin: NetworkVolume, live: NetworkVolume) -> None:  # noqa: ARG002
        """Report it: a volume may hold data by now, so only the guard's end takes it along."""
        operation.screen.warning(
            f"network volume {twin.id} is a late twin of {live.id} and bills; `pulumi destroy` ends it too"
        )


def _release(operation: Operation, client: Client, volume_id: str, marker: Marker | None) -> None:
    """End the pods of this stack that hold the volume.

    The engine has deleted every pod it knows of before it comes here, so those are leftovers. Pods of others are not
    ours to end; they make the deletion fail at once, by name.
    """
    holding = [pod for pod in client.list_pods() if any(m.volume_id == volume_id for m in pod.mounts.network)]
    for pod in (pod for pod in holding if pod.status != "TERMINATED"):
        owner = marker_of(pod.name, pod.env)
        if marker is None or owner is None or owner.instance != marker.instance:
            raise VolumeInUseError(
                f"network volume {volume_id} is in use by pod {pod.id} ({pod.name}), which is not of this stack: "
                "end that pod first, or keep the volume (volume.keep)"
            )
        operation.screen.warning(f"pod {pod.id} was left behind, holds the volume and bills: ending it")
        ending.end(operation, ending.pod(client, pod.id))


def _trapped(operation: Operation, inputs: Values) -> list[NetworkVolume]:
    """Return this resource's volumes that are empty where no pod could be had."""
    records = operation.intents.of(inputs["guard"], operation.urn)
    ids = {record.resource_id for record in records if record.trapped and record.in_state}
    return [volume for volume in operation.client().list_network_volumes() if volume.id in ids] if ids else []


def _place(operation: Operation, inputs: Values) -> list[Failure]:
    """Check that a wanted GPU exists and is offered where the volume may go."""
    gpus, wish = inputs["gpuTypeIdList"], inputs["gpuRequirement"]
    if unknown(gpus):
        return []
    reason = checks.gpus(operation, gpus, needed=False)
    if wish and not gpus:
        reason = checks.no_gpu_meets(wish)
    if reason:
        return [("gpuTypeIdList", f"gpuTypeIdList: {reason}")]
    reason = checks.offered(operation, inputs)
    return [("dataCenterIds", f"dataCenterIds: {reason}")] if reason else []


def _never_smaller(operation: Operation, olds: Values, inputs: Values) -> Values:
    """Return the inputs with the size there is, should less be asked for: no volume at RunPod can shrink."""
    old, new = olds.get("size"), inputs["size"]
    if not isinstance(old, int) or not isinstance(new, int) or new >= old:
        return inputs
    operation.screen.info(f"size: the network volume has {old} GB and cannot shrink to {new}, so it keeps {old}")
    return {**inputs, "size": old}


def _storage(inputs: Values) -> str:
    return "HIGH_PERFORMANCE" if inputs["isNextGenStorage"] else "STANDARD"


def _candidates(client: Client, inputs: Values) -> list[Candidate]:
    gpus, centers, storage = inputs["gpuTypeIdList"], inputs["dataCenterIds"], _storage(inputs)
    stock = client.list_gpu_types(count=inputs["gpuCount"], cloud=inputs["cloudType"]) if gpus else []
    catalogue = {gpu.id: gpu for gpu in stock}
    candidates, refusals = volume_candidates(gpus, centers, storage, catalogue, client.list_data_centers())
    if not candidates:
        advice = "Add GPU types or data centres to choose from, or try again later; nothing was created."
        raise PlacementError("network volume", refusals, advice)
    # The same data centre may be the second choice for another GPU; asking it twice helps nobody.
    return list({candidate.data_center: candidate for candidate in reversed(candidates)}.values())[::-1]
