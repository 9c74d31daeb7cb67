"""The NetworkVolume resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.runpod.api.client import Client
from components.runpod.api.collection import Collection
from components.runpod.api.errors import RunPodError
from components.runpod.api.models import NetworkVolume
from components.runpod.marker import Marker, marker_of, new_marker, parse
from components.runpod.placement import Candidate, NoCandidateLeftError, volume_candidates
from components.runpod.plugin.base import gpu_requirement, validation
from components.runpod.plugin.base.property_codec import Values, differs, unknown
from components.runpod.plugin.base.resource import REQUIRED, Changes, Failure, ProviderOperation
from components.runpod.plugin.lifecycle import deletion, deletion_targets
from components.runpod.plugin.resources.named_resource import NamedResourceHandler, changed_members
from components.runpod.plugin.volumes import data_loss, unused_tag

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

_RULES: dict[str, validation.Rule] = {
    "name": lambda value: validation.name(value) or _no_tag(value),
    "size": validation.integer(10, 4096, "GB"),
    "guard": validation.text,
    "dataCenterIds": validation.data_centers,
    "gpuRequirement": gpu_requirement.requirement,
    "gpuCount": validation.integer(1, 16, "GPUs"),
    "cloudType": validation.one_of("SECURE", "COMMUNITY"),
    "isNextGenStorage": validation.flag,
    "keep": validation.flag,
    "mayReplace": validation.any_text,
}


class VolumeInUseError(RunPodError):
    """A volume cannot be deleted while another pod uses it."""


class NetworkVolumeHandler(NamedResourceHandler[NetworkVolume]):
    """A network volume."""

    token = "runpod:index:NetworkVolume"  # noqa: S105 - a resource type
    what = "network volume"
    id_output = "networkVolumeId"
    ends_duplicates = False
    duplicates_end = "it is billed and may contain data; `make sweep VOLUMES=<id>` or `destroy` deletes it"
    defaults = _DEFAULTS
    outputs = ("networkVolumeId", "dataCenterId", "storageType", "physicalName", "marker", "duplicates")
    replacing = frozenset({"guard", "isNextGenStorage"})

    def validate(self, operation: ProviderOperation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Check every input; a smaller size is replaced with the current one, because a volume cannot shrink."""
        wrong = validation.apply(_RULES, inputs)
        if not olds:  # GPUs matter only at creation: the market does not affect an existing volume.
            wrong += _place(operation, inputs) if not wrong else []
        return (inputs if wrong else _never_smaller(operation, olds, inputs)), wrong

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare the state with the inputs; GPUs matter only at creation."""
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

    def target(self, client: Client, resource_id: str, state: Values) -> deletion_targets.Target:  # noqa: ARG002
        """Return a volume as a deletion target."""
        return deletion_targets.volume(client, resource_id)

    def candidates(self, operation: ProviderOperation, inputs: Values) -> list[Candidate]:
        """Return data centres with the GPU in stock; those where no pod was available come last."""
        client = operation.client()
        avoided = {volume.data_center for volume in _movable_volumes(operation, inputs)}
        return sorted(_candidates(client, inputs), key=lambda candidate: candidate.data_center in avoided)

    def decide(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Changes:
        """Compare; an empty volume moves when no pod is available in its data centre, others only with permission.

        Raises:
            DataLossError: The volume may contain data and would be replaced without permission.
        """
        changes, named = self.diff(state, inputs), inputs["mayReplace"] == resource_id
        if not changes.replaces:
            may_move = (named or not inputs["keep"]) and operation.intents.is_movable(resource_id)
            stuck = may_move and data_loss.is_empty(operation, resource_id)
            return self._moved(operation, resource_id, changes) if stuck else changes
        if named or data_loss.is_empty(operation, resource_id):
            return changes
        raise data_loss.DataLossError(data_loss.would_lose(resource_id, changes.replaces))

    def _moved(self, operation: ProviderOperation, resource_id: str, changes: Changes) -> Changes:
        operation.reporter.info(
            f"network volume {resource_id} is new and empty, and no pod is available in its data centre: it moves"
        )
        return Changes(changes.updates, ("dataCenterIds",))

    def body(self, inputs: Values, name: str, candidate: Candidate) -> dict[str, Any]:
        """Return the request that creates the volume."""
        place = {"dataCenter": candidate.data_center, "type": _storage(inputs)}
        return {"name": unused_tag.tagged(name), "size": inputs["size"], **place}

    def patch(self, live: NetworkVolume, inputs: Values, name: str) -> dict[str, Any]:
        """Rename or grow the volume; keep the tag for unused volumes in its name."""
        wanted = unused_tag.tagged(name) if unused_tag.has_tag(live) else name
        return changed_members(live, {"name": wanted, "size": inputs["size"]})

    def observe(self, live: NetworkVolume, inputs: Values) -> Values:  # noqa: ARG002
        """Return the observed properties of a volume."""
        return {
            "size": live.size,
            "isNextGenStorage": live.type == "HIGH_PERFORMANCE",
            "dataCenterId": live.data_center,
            "storageType": live.type,
        }

    def shown(self, live: NetworkVolume) -> NetworkVolume:
        """Return the volume in the form of the state, without the tag, which may change without an update."""
        return live.model_copy(update={"name": unused_tag.untagged(live.name)})

    def create(self, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:
        """Create the volume in a data centre with the GPU in stock."""
        made, outputs = super().create(operation, inputs)
        operation.reporter.info(f"network volume {made}: {outputs['size']} GB in {outputs['dataCenterId']}")
        return made, outputs

    def delete(self, operation: ProviderOperation, resource_id: str, state: Values) -> None:
        """Delete the volume, after the stack's leftover pods that use it, and wait until it is deleted.

        A volume that the current stack file keeps stays at RunPod and is only removed from the state.
        """
        if reason := data_loss.kept_by(operation, resource_id, state):
            operation.reporter.warning(f"network volume {resource_id} stays at RunPod and is still billed: {reason}")
            operation.intents.forget(resource_id)
            return
        client, marker = operation.client(), parse(str(state.get("marker", "")))

        def release_and_delete(volume_id: str) -> None:
            # Before every attempt, because the list may show a killed run's pod with a delay.
            _release(operation, client, volume_id, marker)
            client.delete_network_volume(volume_id)

        target = self.proven(operation, deletion_targets.volume(client, resource_id), state)
        deletion.delete(operation, replace(target, delete=release_and_delete))


def _no_tag(name: str) -> str:
    """Check that a name does not end with the tag for unused volumes."""
    return (
        f"{name!r} ends with {unused_tag.TAG}, which the provider itself appends"
        if name.endswith(unused_tag.TAG)
        else ""
    )


def _release(operation: ProviderOperation, client: Client, volume_id: str, marker: Marker | None) -> None:
    """Delete the leftover pods of this stack that use the volume.

    The engine has already deleted every pod in the state, so remaining ones are leftovers. A pod that is still in the
    state, or of another stack, is not deleted; the deletion of the volume then fails with its name.
    """
    holding = [pod for pod in client.list_pods() if any(m.volume_id == volume_id for m in pod.mounts.network)]
    for pod in (pod for pod in holding if pod.status != "TERMINATED"):
        owner = marker_of(pod.name, pod.env)
        if pod.id in operation.ids_of_stack():
            raise VolumeInUseError(
                f"network volume {volume_id} is in use by pod {pod.id} ({pod.name}), which this stack still needs: "
                f"keep the volume (volume.keep), or use it (volume.id: {volume_id})"
            )
        if marker is None or owner is None or owner.instance != marker.instance:
            raise VolumeInUseError(
                f"network volume {volume_id} is in use by pod {pod.id} ({pod.name}), which is not this stack's: "
                "delete that pod first, or keep the volume (volume.keep)"
            )
        operation.reporter.warning(f"pod {pod.id} is a leftover, uses the volume and is billed: deleting it")
        deletion.delete(operation, deletion_targets.pod(client, pod.id))


def _movable_volumes(operation: ProviderOperation, inputs: Values) -> list[NetworkVolume]:
    """Return this resource's volumes in data centres where no pod was available."""
    wanted = new_marker(inputs["guard"], operation.urn)
    volumes = operation.client().network_volumes.all() if operation.intents.any_movable() else []
    ours = [volume for volume in volumes if wanted.same_resource(marker_of(volume.name))]
    return [volume for volume in ours if operation.intents.is_movable(volume.id)]


def _place(operation: ProviderOperation, inputs: Values) -> list[Failure]:
    """Check that a requested GPU exists and is offered in an allowed data centre."""
    gpus, requirement = inputs["gpuTypeIdList"], inputs["gpuRequirement"]
    if unknown(gpus):
        return []
    reason = validation.gpus(operation, gpus, needed=False)
    if requirement and not gpus:
        reason = validation.no_gpu_meets(requirement)
    if reason:
        return [("gpuTypeIdList", f"gpuTypeIdList: {reason}")]
    reason = validation.offered(operation, inputs)
    return [("dataCenterIds", f"dataCenterIds: {reason}")] if reason else []


def _never_smaller(operation: ProviderOperation, olds: Values, inputs: Values) -> Values:
    """Return the inputs with at least the current size, because a volume cannot shrink."""
    old, new = olds.get("size"), inputs["size"]
    if not isinstance(old, int) or not isinstance(new, int) or new >= old:
        return inputs
    operation.reporter.info(f"size: the network volume has {old} GB and cannot shrink to {new}, so it keeps {old}")
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
        raise NoCandidateLeftError("network volume", refusals, advice)
    # The same data centre may be listed for several GPUs; it is tried once.
    return list({candidate.data_center: candidate for candidate in reversed(candidates)}.values())[::-1]
