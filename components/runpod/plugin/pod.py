"""The Pod resource."""

from __future__ import annotations

from pulumi.runtime.rpc import UNKNOWN

from components.runpod.api.client import Client
from components.runpod.api.errors import BadRequestError, ConflictError, NotFoundError, RunPodError
from components.runpod.api.models import Pod
from components.runpod.marker import Marker, marker_of, new_marker, parse
from components.runpod.placement import Candidate, PlacementError, Refusal, pod_candidates
from components.runpod.plugin import checks, ending, pod_state
from components.runpod.plugin.creation import Creation, Shelf
from components.runpod.plugin.kind import REQUIRED, Changes, Failure, Found, Kind, NotReadyError, Operation
from components.runpod.plugin.pod_spec import PodSpec, split_ports
from components.runpod.plugin.ready import Readiness
from components.runpod.plugin.values import Values, unknown

_DEFAULTS = {
    "name": REQUIRED,
    "imageName": REQUIRED,
    "gpuTypeIdList": REQUIRED,
    "guard": REQUIRED,
    "gpuCount": 1,
    "cloudType": "SECURE",
    "dataCenterIds": [],
    "networkVolumeId": "",
    "volumeMountPath": "/workspace",
    "containerDiskInGb": 30,
    "ports": "",
    "env": {},
    "dockerArgs": "",
    "allowedCudaVersions": [],
    "minCudaVersion": "",
    "readyTimeoutSeconds": 900,
}


class PodKind(Kind):
    """A GPU pod."""

    token = "runpod:index:Pod"  # noqa: S105 - a resource type
    defaults = _DEFAULTS
    outputs = (
        "podId",
        "gpu",
        "dataCenter",
        "costPerHr",
        "sshHost",
        "sshPort",
        "urls",
        "status",
        "physicalName",
        "cudaVersion",
        "marker",
    )
    secrets = frozenset({"env"})

    def validate(self, operation: Operation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Check every input; ask the live catalogue only where a placement may be coming."""
        wrong = checks.apply(_RULES, inputs)
        gpu_reason = _unless_unknown(inputs["gpuTypeIdList"], operation)
        wrong += [("gpuTypeIdList", f"gpuTypeIdList: {gpu_reason}")] if gpu_reason else []
        if not wrong and inputs["networkVolumeId"] and inputs["cloudType"] != "SECURE":
            wrong.append(("cloudType", "cloudType: a pod with a network volume needs SECURE"))
        if not wrong and _placement(olds) != _placement(inputs):
            reason = checks.offered(operation, inputs)
            wrong += [("dataCenterIds", f"dataCenterIds: {reason}")] if reason else []
        if not wrong and not unknown(inputs["ports"]):
            inputs["ports"] = ",".join(split_ports(inputs["ports"]))
        return inputs, wrong

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare what runs with what is wanted."""
        return pod_state.diff(state, inputs)

    def preview_update(self, state: Values, inputs: Values) -> Values:
        """Return what is known; a reset gives the pod other public ports."""
        changed = set(pod_state.diff(state, inputs).updates)
        moving = ("sshHost", "sshPort", "urls", "status", "costPerHr") if changed & pod_state.RESETTING else ()
        renamed = ("physicalName",) if "name" in changed else ()
        return {**state, **inputs, **dict.fromkeys((*moving, *renamed), UNKNOWN)}

    def create(self, operation: Operation, inputs: Values) -> tuple[str, Values]:
        """Place the pod and wait until it is ready."""
        spec, client = PodSpec.parse(inputs), operation.client()
        creation = Creation(operation, _shelf(operation, client, spec), spec.guard)
        pod, marker = creation.run(lambda: _candidates(client, spec))
        operation.screen.info(f"pod {pod.id}: {pod.gpu.id if pod.gpu else 'no GPU'} in {pod.data_center_id or '?'}")
        return pod.id, _ready(operation, client, inputs, pod, marker)

    def read(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Found | None:
        """Return what really runs."""
        client = operation.client()
        try:
            live = client.get_pod(resource_id)
        except NotFoundError:
            live = None
        if live is None or live.status == "TERMINATED":
            return None
        marker = _marker(state, live)
        _end_twins(operation, client, live, marker)
        known = {**_plain_defaults(), **inputs} if inputs else _imported(live, marker)
        declared = pod_state.declared_by(live, known, marker)
        return Found(declared, pod_state.observe(live, declared, marker, operation.settings))

    def update(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Values:
        """Change what API v2 can change in place, start what was stopped, and wait until it is ready again."""
        spec, client = PodSpec.parse(inputs), operation.client()
        before = client.get_pod(resource_id)
        marker = _marker(state, before)
        body = spec.patch(before, marker)
        live = client.update_pod(resource_id, body) if body else before
        if live.status in {"EXITED", "ERROR"}:
            operation.screen.info(f"pod {resource_id} is {live.status}; starting it")
            live = _start(client, live)
        reset = bool(set(body) - {"name"})
        return _ready(operation, client, inputs, live, marker, before if reset else None)

    def delete(self, operation: Operation, resource_id: str, state: Values) -> None:  # noqa: ARG002
        """End the pod and look until it is gone."""
        ending.end(operation, ending.pod(operation.client(), resource_id))


_RULES: dict[str, checks.Rule] = {
    "name": checks.name,
    "imageName": checks.text,
    "guard": checks.text,
    "gpuCount": checks.whole(1, 16, "GPUs"),
    "cloudType": checks.one_of("SECURE", "COMMUNITY"),
    "dataCenterIds": checks.data_centers,
    "networkVolumeId": checks.any_text,
    "volumeMountPath": checks.text,
    "containerDiskInGb": checks.whole(1, 10_000, "GB"),
    "ports": checks.ports,
    "env": checks.environment,
    "dockerArgs": checks.any_text,
    "allowedCudaVersions": checks.cuda_versions,
    "minCudaVersion": checks.cuda_version,
    "readyTimeoutSeconds": checks.whole(30, 7200, "seconds"),
}


def _unless_unknown(gpus: object, operation: Operation) -> str:
    return "" if unknown(gpus) else checks.gpus(operation, gpus, needed=True)


def _placement(inputs: Values) -> list[object]:
    return [inputs.get(name) for name in ("gpuTypeIdList", "gpuCount", "cloudType", "dataCenterIds")]


def _shelf(operation: Operation, client: Client, spec: PodSpec) -> Shelf[Pod]:
    expected = new_marker(spec.guard, operation.urn)
    return Shelf(
        what="pod",
        list=lambda: [pod for pod in client.list_pods() if pod.status != "TERMINATED"],
        marker=lambda pod: marker_of(pod.name, pod.env),
        matches=lambda pod: spec.accepts(pod, marker_of(pod.name, pod.env) or expected),
        post=lambda marker, candidate: client.create_pod(spec.body(marker, candidate)),
        end=lambda pod: ending.end(operation, ending.pod(client, pod.id)),
    )


def _candidates(client: Client, spec: PodSpec) -> list[Candidate]:
    """Return where to try; a volume leaves no choice of data centre."""
    if not spec.volume_id:
        return pod_candidates(spec.gpus, spec.data_centers)
    center = client.get_network_volume(spec.volume_id).data_center
    if spec.data_centers and center not in spec.data_centers:
        refusals = [
            Refusal(candidate, f"the volume is in {center}")
            for candidate in pod_candidates(spec.gpus, spec.data_centers)
        ]
        raise PlacementError("pod", refusals, f"Add {center} to the data centres, or use another volume.")
    return pod_candidates(spec.gpus, [center])


def _ready(
    operation: Operation, client: Client, inputs: Values, pod: Pod, marker: Marker, before: Pod | None = None
) -> Values:
    """Wait for the pod; whatever goes wrong from here on, the engine must learn that it exists."""
    try:
        live = Readiness(operation, client, PodSpec.parse(inputs)).wait(pod.id, before)
    except RunPodError as error:
        raise NotReadyError(pod.id, pod_state.observe(pod, inputs, marker, operation.settings), str(error)) from error
    return pod_state.observe(live, inputs, marker, operation.settings)


def _start(client: Client, live: Pod) -> Pod:
    try:
        return client.act_on_pod(live.id, "start")
    except ConflictError:
        return client.get_pod(live.id)  # Somebody else, or our own lost call, has started it already.
    except BadRequestError as refused:
        raise RunPodError(
            f"pod {live.id} cannot be started again: {refused.detail}. A stopped pod keeps its machine but not its "
            "GPUs; `pulumi up --replace` with its URN places it anew (a network volume stays)."
        ) from refused


def _marker(state: Values, live: Pod) -> Marker:
    """Return the marker the pod should carry; what it carries can have been changed by others."""
    return parse(str(state.get("marker", ""))) or marker_of(live.name, live.env) or Marker("0" * 10, "0" * 8, "0" * 8)


def _end_twins(operation: Operation, client: Client, live: Pod, marker: Marker) -> None:
    """End what a lost POST made after all: it has the very marker of a pod that the state holds under another id."""
    for pod in client.list_pods():
        if pod.id != live.id and pod.status != "TERMINATED" and marker_of(pod.name, pod.env) == marker:
            operation.screen.warning(
                f"pod {pod.id} is a late twin of {live.id} that nobody knows of and bills: ending it"
            )
            ending.end(operation, ending.pod(client, pod.id))


def _plain_defaults() -> Values:
    return {name: value for name, value in PodKind.defaults.items() if value is not REQUIRED}


def _imported(live: Pod, marker: Marker) -> Values:
    """Return inputs for a pod that the program does not describe yet."""
    gpus = [live.gpu.id] if live.gpu else []
    return {**_plain_defaults(), "gpuTypeIdList": gpus, "guard": marker.instance, "ports": ",".join(live.ports)}
