"""The NetworkVolume resource."""

from __future__ import annotations

from dataclasses import replace

from pulumi.runtime.rpc import UNKNOWN

from components.runpod.api.client import Client
from components.runpod.api.errors import NotFoundError, RunPodError
from components.runpod.api.models import NetworkVolume
from components.runpod.marker import Marker, marker_of, new_marker, parse, split_name
from components.runpod.placement import Candidate, PlacementError, volume_candidates
from components.runpod.plugin import checks, ending
from components.runpod.plugin.creation import Creation, Shelf
from components.runpod.plugin.kind import REQUIRED, Changes, Failure, Found, Kind, Operation
from components.runpod.plugin.values import Values, unknown

_DEFAULTS = {
    "name": REQUIRED,
    "size": REQUIRED,
    "guard": REQUIRED,
    "dataCenterIds": [],
    "gpuTypeIdList": [],
    "gpuCount": 1,
    "cloudType": "SECURE",
    "isNextGenStorage": False,
}

_RULES: dict[str, checks.Rule] = {
    "name": checks.name,
    "size": checks.whole(10, 4096, "GB"),
    "guard": checks.text,
    "dataCenterIds": checks.data_centers,
    "gpuCount": checks.whole(1, 16, "GPUs"),
    "cloudType": checks.one_of("SECURE", "COMMUNITY"),
    "isNextGenStorage": checks.flag,
}


class VolumeInUseError(RunPodError):
    """A volume cannot be deleted while somebody else's pod has it."""


class NetworkVolumeKind(Kind):
    """A network volume."""

    token = "runpod:index:NetworkVolume"  # noqa: S105 - a resource type
    defaults = _DEFAULTS
    outputs = ("networkVolumeId", "dataCenterId", "storageType", "physicalName", "marker")

    def validate(self, operation: Operation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Check every input; a volume never shrinks, and one that would is refused before anything happens."""
        wrong = checks.apply(_RULES, inputs)
        if not unknown(inputs["gpuTypeIdList"]):
            reason = checks.gpus(operation, inputs["gpuTypeIdList"], needed=False)
            wrong += [("gpuTypeIdList", f"gpuTypeIdList: {reason}")] if reason else []
        wrong += _shrink(olds, inputs) if not wrong else []
        if not wrong and not olds:
            reason = checks.offered(operation, inputs)
            wrong += [("dataCenterIds", f"dataCenterIds: {reason}")] if reason else []
        return inputs, wrong

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare what is there with what is wanted; where the GPUs are mattered at creation alone."""
        updates = tuple(name for name in ("name", "size") if _differs(state, inputs, name))
        replaces = [name for name in ("guard", "isNextGenStorage") if _differs(state, inputs, name)]
        centers = inputs["dataCenterIds"]
        if centers and not unknown(centers) and state.get("dataCenterId") not in centers:
            replaces.append("dataCenterIds")
        return Changes(updates, tuple(replaces))

    def preview_update(self, state: Values, inputs: Values) -> Values:
        """Return what is known of the volume after the update."""
        renamed = {"physicalName": UNKNOWN} if _differs(state, inputs, "name") else {}
        return {**state, **inputs, **renamed}

    def create(self, operation: Operation, inputs: Values) -> tuple[str, Values]:
        """Create the volume where the wanted GPU is in stock."""
        client = operation.client()
        creation = Creation(operation, _shelf(operation, client, inputs), inputs["guard"])
        made, marker = creation.run(lambda: _candidates(client, inputs))
        operation.screen.info(f"network volume {made.id}: {made.size} GB in {made.data_center}")
        return made.id, _observe(made, inputs, marker)

    def read(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Found | None:
        """Return what is really there."""
        client = operation.client()
        try:
            live = client.get_network_volume(resource_id)
        except NotFoundError:
            return None
        marker = parse(str(state.get("marker", ""))) or marker_of(live.name)
        _report_twins(operation, client, live, marker)
        observed = _observe(live, inputs or _imported(marker), marker)
        return Found({name: observed[name] for name in self.defaults if name in observed}, observed)

    def update(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Values:
        """Rename or grow."""
        client = operation.client()
        live = client.get_network_volume(resource_id)
        marker = parse(str(state.get("marker", ""))) or marker_of(live.name)
        wanted = {"name": marker.name(inputs["name"]) if marker else inputs["name"], "size": inputs["size"]}
        body = {member: value for member, value in wanted.items() if value != getattr(live, member)}
        updated = client.update_network_volume(resource_id, body) if body else live
        return _observe(updated, inputs, marker)

    def delete(self, operation: Operation, resource_id: str, state: Values) -> None:
        """End the volume, after the stack's own leftovers that still hold it, and look until it is gone."""
        client, marker = operation.client(), parse(str(state.get("marker", "")))

        def release_and_delete(volume_id: str) -> None:
            # Before every attempt: a list that lags behind does not show a killed run's pod at first.
            _release(operation, client, volume_id, marker)
            client.delete_network_volume(volume_id)

        ending.end(operation, replace(ending.volume(client, resource_id), delete=release_and_delete))


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


def _shrink(olds: Values, inputs: Values) -> list[Failure]:
    old, new = olds.get("size"), inputs["size"]
    if not isinstance(old, int) or not isinstance(new, int) or new >= old:
        return []
    return [("size", f"size: the volume has {old} GB and cannot shrink to {new}; set {old} or more, or replace it")]


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


def _shelf(operation: Operation, client: Client, inputs: Values) -> Shelf[NetworkVolume]:
    def matches(volume: NetworkVolume) -> bool:
        marker = marker_of(volume.name) or new_marker(inputs["guard"], operation.urn)
        centers = inputs["dataCenterIds"]
        return (volume.name, volume.size, volume.type) == (
            marker.name(inputs["name"]),
            inputs["size"],
            _storage(inputs),
        ) and (not centers or volume.data_center in centers)

    def post(marker: Marker, candidate: Candidate) -> NetworkVolume:
        body = {"name": marker.name(inputs["name"]), "size": inputs["size"], "dataCenter": candidate.data_center}
        return client.create_network_volume({**body, "type": _storage(inputs)})

    return Shelf(
        what="network volume",
        list=client.list_network_volumes,
        marker=lambda volume: marker_of(volume.name),
        matches=matches,
        post=post,
        end=lambda volume: ending.end(operation, ending.volume(client, volume.id)),
    )


def _observe(live: NetworkVolume, inputs: Values, marker: Marker | None) -> Values:
    base, carried = split_name(live.name)
    return {
        **inputs,
        "name": base if carried == marker else live.name,
        "size": live.size,
        "isNextGenStorage": live.type == "HIGH_PERFORMANCE",
        "networkVolumeId": live.id,
        "dataCenterId": live.data_center,
        "storageType": live.type,
        "physicalName": live.name,
        "marker": str(marker or ""),
    }


def _imported(marker: Marker | None) -> Values:
    known = {name: value for name, value in _DEFAULTS.items() if value is not REQUIRED}
    return {**known, "guard": marker.instance if marker else ""}


def _report_twins(operation: Operation, client: Client, live: NetworkVolume, marker: Marker | None) -> None:
    """Say what a lost POST made after all. A volume may hold data by now, so only the guard's end takes it along."""
    for volume in client.list_network_volumes() if marker else ():
        if volume.id != live.id and marker_of(volume.name) == marker:
            operation.screen.warning(
                f"network volume {volume.id} is a late twin of {live.id} and bills; `pulumi destroy` ends it too"
            )


def _differs(state: Values, inputs: Values, name: str) -> bool:
    # A state written before an input existed says nothing about it.
    return name in state and (unknown(inputs[name]) or state[name] != inputs[name])
