"""The Pod resource."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pulumi.runtime.rpc import UNKNOWN

from components.runpod.api.client import Client
from components.runpod.api.errors import BadRequestError, CallError, ConflictError, NotFoundError, RunPodError
from components.runpod.api.models import Pod
from components.runpod.marker import Marker, marker_of, new_marker, parse
from components.runpod.placement import Candidate, NoCandidateLeftError, RefusedCandidate, pod_candidates
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values, unknown
from components.runpod.plugin.base.resource import (
    REQUIRED,
    Changes,
    Failure,
    NotReadyError,
    ProviderOperation,
    ReadResult,
    ResourceHandler,
)
from components.runpod.plugin.base.validation import split_ports
from components.runpod.plugin.lifecycle import deletion, deletion_targets, duplicates
from components.runpod.plugin.lifecycle.creation import Creation, ResourceOps
from components.runpod.plugin.pods import gpu_watch, pod_env, pod_inputs, pod_state
from components.runpod.plugin.pods.pod_spec import STOPPED, PodSpec
from components.runpod.plugin.pods.readiness import PodReadiness
from components.runpod.plugin.volumes import sharing, unused_tag


class PodHandler(ResourceHandler):
    """A pod with GPUs, or a CPU pod."""

    token = "runpod:index:Pod"  # noqa: S105 - a resource type
    defaults = pod_inputs.DEFAULTS
    outputs = (
        "podId",
        "gpu",
        "cpuFlavorId",
        "dataCenter",
        "costPerHr",
        "sshHost",
        "sshPort",
        "urls",
        "status",
        "physicalName",
        "cudaVersion",
        "gpusMissingSince",
        "duplicates",
        "marker",
    )
    secrets = frozenset({"env"})

    def validate(self, operation: ProviderOperation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Check every input; query the live catalogue only when a placement is possible."""
        wrong = validation.apply(pod_inputs.RULES, inputs)
        wrong += validation.compute(operation, olds, inputs) if not wrong else []
        if not wrong and inputs["networkVolumeId"] and inputs["cloudType"] != "SECURE":
            wrong.append(("cloudType", "cloudType: a pod with a network volume needs SECURE"))
        if not wrong and pod_inputs.asks_for_more(olds, inputs):
            wrong += validation.placement(operation, inputs)
        if not wrong and not unknown(inputs["ports"]):
            inputs["ports"] = ",".join(split_ports(inputs["ports"]))
        return inputs, wrong

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare the running pod with the inputs."""
        return pod_state.diff(state, inputs)

    def decide(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Changes:
        """Compare, report deferred changes, and check whether a pod without its GPUs must be replaced."""
        changes = self.diff(state, inputs)
        if not changes.replaces and gpu_watch.is_lost(operation, resource_id, state):
            changes = Changes(changes.updates, ("gpuCount",))
        later = pod_env.waiting(state, inputs)
        if later and not changes.replaces and not set(changes.updates) & pod_state.RESETTING:
            operation.reporter.info(
                f"pod {resource_id}: {', '.join(later)} changed; the new value takes effect with the next change "
                "that restarts the pod"
            )
        return changes

    def preview_update(self, state: Values, inputs: Values) -> Values:
        """Return the known outputs; a reset changes the public ports, and a stopped pod has no price."""
        changed = set(pod_state.diff(state, inputs).updates)
        moving = ("sshHost", "sshPort", "urls", "status") if changed & pod_state.RESETTING else ()
        renamed = ("physicalName",) if "name" in changed else ()
        priced = ("costPerHr",) if "status" in changed else ()
        return {**state, **inputs, **dict.fromkeys((*moving, *renamed, *priced), UNKNOWN), duplicates.OUTPUT: []}

    def create(self, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:
        """Create the pod and wait until it is ready."""
        spec, client = PodSpec.parse(inputs), operation.client()
        operation.account.ensure_marker(client, spec.guard, operation.reporter.warning)
        sharing.refuse(client, spec.volume_id, spec.guard)
        creation = Creation(operation, _ops(operation, client, spec), spec.guard)
        volume = unused_tag.VolumeUse(client, spec.volume_id)
        try:
            pod, marker = creation.run(lambda: volume.taken(_candidates(client, spec)))
        except CallError:
            volume.give_back(certain=not creation.lost_any)
            raise
        except NoCandidateLeftError as refused:
            if volume.give_back(certain=not creation.lost_any):
                operation.intents.mark_movable(spec.volume_id)
                raise NoCandidateLeftError("pod", refused.refusals, _moves(operation, spec.volume_id)) from refused
            raise
        got = pod.gpu.id if pod.gpu else pod.cpu.id if pod.cpu else "no GPU"
        operation.reporter.info(f"pod {pod.id}: {got} in {pod.data_center_id or '?'}")
        return pod.id, _ready(operation, client, inputs, pod, marker)

    def read(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> ReadResult | None:
        """Return the actual pod."""
        client = operation.client()
        declared_marker = parse(str(state.get("marker", "")))
        try:
            live = client.get_pod(resource_id)
        except NotFoundError:
            operation.account.check(client, declared_marker, f"pod {resource_id}")
            return None
        operation.account.saw(declared_marker)
        if live.status == "TERMINATED":
            return None
        marker = _marker(state, live)
        others = _duplicates(operation, client, live.id, marker)
        ours = [one for one in others if duplicates.is_ours(operation, live, one, marker)]
        found = duplicates.report(operation, "pod", live.id, ours, "it is billed; `pulumi up` deletes it")
        for copy in others:
            if copy not in ours:
                operation.reporter.warning(_copied(copy, live.id))
        known = {**_plain_defaults(), **inputs} if inputs else _imported(live, marker)
        declared = pod_state.declared_by(live, known, marker)
        beside = {gpu_watch.OUTPUT: gpu_watch.since(operation, live, state), duplicates.OUTPUT: found}
        return ReadResult(declared, pod_state.observe(live, declared, marker, operation.settings, beside))

    def update(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Values:
        """Update the pod in place, start it if it was stopped, and wait until it is ready."""
        spec, client = PodSpec.parse(inputs), operation.client()
        before = client.get_pod(resource_id)
        marker = _marker(state, before)
        for duplicate in _duplicates(operation, client, resource_id, marker) if duplicates.noted(state) else ():
            if not duplicates.is_ours(operation, before, duplicate, marker):
                continue
            operation.reporter.warning(f"pod {duplicate.id} is a duplicate of {resource_id} and is billed; deleting it")
            deletion.delete(operation, deletion_targets.pod(client, duplicate.id))
        body = spec.patch(before, marker)
        live = client.update_pod(resource_id, body) if body else before
        if live.status in STOPPED:
            operation.reporter.info(f"pod {resource_id} is {live.status}; starting it")
            live = _start(client, live)
        reset = bool(set(body) - {"name"})
        return _ready(operation, client, inputs, live, marker, before if reset else None)

    def delete(self, operation: ProviderOperation, resource_id: str, state: Values) -> None:
        """Delete the pod and wait until it is deleted."""
        client, marker = operation.client(), parse(str(state.get("marker", "")))
        prove = partial(operation.account.check, client, marker, f"pod {resource_id}")
        deletion.delete(operation, replace(deletion_targets.pod(client, resource_id), prove=prove))


def _ops(operation: ProviderOperation, client: Client, spec: PodSpec) -> ResourceOps[Pod]:
    expected = new_marker(spec.guard, operation.urn)
    return ResourceOps(
        what="pod",
        list=lambda: [pod for pod in client.list_pods() if pod.status != "TERMINATED"],
        marker=lambda pod: marker_of(pod.name, pod.env),
        matches=lambda pod: spec.accepts(pod, marker_of(pod.name, pod.env) or expected),
        post=lambda marker, candidate: client.create_pod(spec.body(marker, candidate)),
        end=lambda pod: deletion.delete(operation, deletion_targets.pod(client, pod.id)),
    )


def _candidates(client: Client, spec: PodSpec) -> list[Candidate]:
    """Return the candidates; with a volume only its data centre is possible."""
    if not spec.volume_id:
        return pod_candidates(spec.computes, spec.data_centers)
    center = client.get_network_volume(spec.volume_id).data_center
    if spec.data_centers and center not in spec.data_centers:
        refusals = [
            RefusedCandidate(candidate, f"the volume is in {center}")
            for candidate in pod_candidates(spec.computes, spec.data_centers)
        ]
        raise NoCandidateLeftError("pod", refusals, f"Add {center} to the data centres, or use another volume.")
    return pod_candidates(spec.computes, [center])


def _moves(operation: ProviderOperation, volume_id: str) -> str:
    requirement = operation.stack_files.volume(operation.urn)
    if requirement and requirement.keep:
        return (
            f"The network volume {volume_id} is new and empty. Because of volume.keep it moves to another data centre "
            f"only if allowed: set volume.replace: {volume_id} and run the same command again."
        )
    return (
        f"The network volume {volume_id} is new and empty: run the same command again, and it moves to another "
        "data centre with one of these GPUs in stock."
    )


def _ready(
    operation: ProviderOperation, client: Client, inputs: Values, pod: Pod, marker: Marker, before: Pod | None = None
) -> Values:
    """Wait for the pod; after any error, the engine records that the pod exists."""
    readiness = PodReadiness(operation, client, PodSpec.parse(inputs))
    try:
        live = readiness.wait(pod.id, before)
    except RunPodError as error:
        live = readiness.seen or pod
        beside = {gpu_watch.OUTPUT: readiness.gpus_missing_since}
        seen = pod_state.observe(live, inputs, marker, operation.settings, beside)
        raise NotReadyError(pod.id, seen, str(error)) from error
    return pod_state.observe(live, inputs, marker, operation.settings)


def _start(client: Client, live: Pod) -> Pod:
    try:
        return client.act_on_pod(live.id, "start")
    except ConflictError:
        return client.get_pod(live.id)  # Another caller, or an own call with a lost answer, has started it already.
    except BadRequestError as refused:
        raise RunPodError(
            f"pod {live.id} cannot be started again: {refused.detail}. A stopped pod keeps its machine but not its "
            "GPUs; with whenStopped: replace it is replaced (a network volume stays)."
        ) from refused


def _marker(state: Values, live: Pod) -> Marker:
    """Return the marker the pod should have; others can have changed its actual marker."""
    return parse(str(state.get("marker", ""))) or marker_of(live.name, live.env) or Marker("0" * 10, "0" * 8, "0" * 8)


def _duplicates(operation: ProviderOperation, client: Client, own_id: str, marker: Marker) -> list[Pod]:
    remaining = [pod for pod in client.list_pods() if pod.status != "TERMINATED"]
    return duplicates.find(operation, own_id, marker, remaining, lambda pod: marker_of(pod.name, pod.env))


def _copied(copy: Pod, own_id: str) -> str:
    """Return the message about a pod that this stack did not provably create; another person may use it."""
    return (
        f"pod {copy.id} has the marker of {own_id} and was not created by this stack, but perhaps copied in RunPod's "
        f"console: it costs ${copy.cost:.2f}/h (${24 * copy.cost:.2f}/day) and is not deleted. If it is not needed, "
        f"`make sweep IDS={copy.id}` deletes it"
    )


def _plain_defaults() -> Values:
    return {name: value for name, value in PodHandler.defaults.items() if value is not REQUIRED}


def _imported(live: Pod, marker: Marker) -> Values:
    """Return inputs for an imported pod."""
    gpus, cpus = [live.gpu.id] if live.gpu else [], [live.cpu.id] if live.cpu else []
    return {
        **_plain_defaults(),
        "gpuTypeIdList": gpus,
        "cpuFlavorIdList": cpus,
        "guard": marker.instance,
        "ports": ",".join(live.ports),
    }
