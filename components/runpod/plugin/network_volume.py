"""The NetworkVolume resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.runpod.api.client import Client
from components.runpod.api.collection import Collection
from components.runpod.api.errors import RunPodError
from components.runpod.api.models import NetworkVolume
from components.runpod.marker import Marker, marker_of, new_marker, parse
from components.runpod.placement import Candidate, PlacementError, volume_candidates
from components.runpod.plugin import checks, ending, gpu_wish, unused, volume_data
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
    "keep": False,
    "mayReplace": "",
}

_RULES: dict[str, checks.Rule] = {
    "name": lambda value: checks.name(value) or _no_tag(value),
    "size": checks.whole(10, 4096, "GB"),
    "guard": checks.text,
    "dataCenterIds": checks.data_centers,
    "gpuRequirement": gpu_wish.requirement,
    "gpuCount": checks.whole(1, 16, "GPUs"),
    "cloudType": checks.one_of("SECURE", "COMMUNITY"),
    "isNextGenStorage": checks.flag,
    "keep": checks.flag,
    "mayReplace": checks.any_text,
}


class VolumeInUseError(RunPodError):
    """A volume cannot be deleted while somebody else's pod has it."""


class NetworkVolumeKind(MarkedKind[NetworkVolume]):
    """A network volume."""

    token = "runpod:index:NetworkVolume"  # noqa: S105 - a resource type
    what = "network volume"
    id_output = "networkVolumeId"
    ends_twins = False
    twins_end = "it bills and may hold data; `make sweep VOLUMES=<id>` or the end of the stack deletes it"
    defaults = _DEFAULTS
    outputs = ("networkVolumeId", "dataCenterId", "storageType", "physicalName", "marker", "twins")
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
        updates += ("keep",) if bool(state.get("keep")) != inputs["keep"] else ()
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
        """Compare; an empty volume moves when no pod could be had where it is, one with data by a person's word alone.

        Raises:
            DataLossError: The volume would be replaced, holds data or may, and nobody has named it for that.
        """
        changes, named = self.diff(state, inputs), inputs["mayReplace"] == resource_id
        if not changes.replaces:
            may_move = (named or not inputs["keep"]) and operation.intents.is_trapped(resource_id)
            stuck = may_move and volume_data.is_empty(operation, resource_id)
            return self._moved(operation, resource_id, changes) if stuck else changes
        if named or volume_data.is_empty(operation, resource_id):
            return changes
        raise volume_data.DataLossError(volume_data.would_lose(resource_id, changes.replaces))

    def _moved(self, operation: Operation, resource_id: str, changes: Changes) -> Changes:
        operation.screen.info(
            f"network volume {resource_id} is new and empty, and no pod could be had in its data centre: it moves"
        )
        return Changes(changes.updates, ("dataCenterIds",))

    def body(self, inputs: Values, name: str, candidate: Candidate) -> dict[str, Any]:
        """Return the request that makes the volume."""
        place = {"dataCenter": candidate.data_center, "type": _storage(inputs)}
        return {"name": unused.tagged(name), "size": inputs["size"], **place}

    def patch(self, live: NetworkVolume, inputs: Values, name: str) -> dict[str, Any]:
        """Rename or grow; whether the name says that nothing has used the volume stays as it is."""
        wanted = unused.tagged(name) if unused.has_tag(live) else name
        return changed_members(live, {"name": wanted, "size": inputs["size"]})

    def observe(self, live: NetworkVolume, inputs: Values) -> Values:  # noqa: ARG002
        """Return what is seen of a volume."""
        return {
            "size": live.size,
            "isNextGenStorage": live.type == "HIGH_PERFORMANCE",
            "dataCenterId": live.data_center,
            "storageType": live.type,
        }

    def shown(self, live: NetworkVolume) -> NetworkVolume:
        """Return the volume as the state holds it: the tag comes and goes without a change of the stack."""
        return live.model_copy(update={"name": unused.untagged(live.name)})

    def create(self, operation: Operation, inputs: Values) -> tuple[str, Values]:
        """Create the volume where the wanted GPU is in stock."""
        made, outputs = super().create(operation, inputs)
        operation.screen.info(f"network volume {made}: {outputs['size']} GB in {outputs['dataCenterId']}")
        return made, outputs

    def delete(self, operation: Operation, resource_id: str, state: Values) -> None:
        """End the volume, after the stack's own leftovers that still hold it, and look until it is gone.

        One that is to be kept, as the stack file says now, stays at RunPod and leaves the state alone.
        """
        if reason := volume_data.kept_by(operation, resource_id, state):
            operation.screen.warning(f"network volume {resource_id} stays at RunPod, and bills on: {reason}")
            operation.intents.forget(resource_id)
            return
        client, marker = operation.client(), parse(str(state.get("marker", "")))

        def release_and_delete(volume_id: str) -> None:
            # Before every attempt: a list that lags behind does not show a killed run's pod at first.
            _release(operation, client, volume_id, marker)
            client.delete_network_volume(volume_id)

        target = self.proven(operation, ending.volume(client, resource_id), state)
        ending.end(operation, replace(target, delete=release_and_delete))


def _no_tag(name: str) -> str:
    """Check that a name does not say by itself that nothing has used the volume."""
    return f"{name!r} ends with {unused.TAG}, which the provider itself appends" if name.endswith(unused.TAG) else ""


def _release(operation: Operation, client: Client, volume_id: str, marker: Marker | None) -> None:
    """End the pods of this stack that hold the volume.

    Before the end of a stack the engine has deleted every pod it knows of, so those are leftovers. A pod that its state
    still holds, or of others, is not to be ended here; it makes the deletion fail at once, by name.
    """
    holding = [pod for pod in client.list_pods() if any(m.volume_id == volume_id for m in pod.mounts.network)]
    for pod in (pod for pod in holding if pod.status != "TERMINATED"):
        owner = marker_of(pod.name, pod.env)
        if pod.id in operation.ids_of_stack():
            raise VolumeInUseError(
                f"network volume {volume_id} is in use by pod {pod.id} ({pod.name}), which this stack goes on with: "
                f"keep the volume (volume.keep), or name it as the one to use (volume.id: {volume_id})"
            )
        if marker is None or owner is None or owner.instance != marker.instance:
            raise VolumeInUseError(
                f"network volume {volume_id} is in use by pod {pod.id} ({pod.name}), which is not of this stack: "
                "end that pod first, or keep the volume (volume.keep)"
            )
        operation.screen.warning(f"pod {pod.id} was left behind, holds the volume and bills: ending it")
        ending.end(operation, ending.pod(client, pod.id))


def _trapped(operation: Operation, inputs: Values) -> list[NetworkVolume]:
    """Return this resource's volumes in whose data centre no pod could be had."""
    wanted = new_marker(inputs["guard"], operation.urn)
    volumes = operation.client().network_volumes.all() if operation.intents.any_trapped() else []
    ours = [volume for volume in volumes if wanted.same_resource(marker_of(volume.name))]
    return [volume for volume in ours if operation.intents.is_trapped(volume.id)]


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
