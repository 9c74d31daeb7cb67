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
    Operation,
    ReadResult,
    ResourceHandler,
)
from components.runpod.plugin.base.validation import split_ports
from components.runpod.plugin.lifecycle import deletion, deletion_targets, duplicates
from components.runpod.plugin.lifecycle.creation import Creation, ResourceOps
from components.runpod.plugin.pods import gpu_watch, pod_env, pod_inputs, pod_state
from components.runpod.plugin.pods.pod_spec import STOPPED, PodSpec
from components.runpod.plugin.pods.readiness import Readiness
from components.runpod.plugin.volumes import sharing, unused_tag


class PodHandler(ResourceHandler):
    """A pod with GPUs, or with CPUs alone."""

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
        "twins",
        "marker",
    )
    secrets = frozenset({"env"})

    def validate(self, operation: Operation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Check every input; ask the live catalogue only where a placement may be coming."""
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
        """Compare what runs with what is wanted."""
        return pod_state.diff(state, inputs)

    def decide(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Changes:
        """Compare, tell what waits, and look whether a pod without its GPUs has to give way."""
        changes = self.diff(state, inputs)
        if not changes.replaces and gpu_watch.is_lost(operation, resource_id, state):
            changes = Changes(changes.updates, ("gpuCount",))
        later = pod_env.waiting(state, inputs)
        if later and not changes.replaces and not set(changes.updates) & pod_state.RESETTING:
            operation.reporter.info(
                f"pod {resource_id}: {', '.join(later)} changed; the new value takes effect with the next change "
                "that restarts the pod, nothing restarts for it now"
            )
        return changes

    def preview_update(self, state: Values, inputs: Values) -> Values:
        """Return what is known; a reset gives the pod other public ports, and a stopped one has no price."""
        changed = set(pod_state.diff(state, inputs).updates)
        moving = ("sshHost", "sshPort", "urls", "status") if changed & pod_state.RESETTING else ()
        renamed = ("physicalName",) if "name" in changed else ()
        priced = ("costPerHr",) if "status" in changed else ()
        return {**state, **inputs, **dict.fromkeys((*moving, *renamed, *priced), UNKNOWN), duplicates.OUTPUT: []}

    def create(self, operation: Operation, inputs: Values) -> tuple[str, Values]:
        """Place the pod and wait until it is ready."""
        spec, client = PodSpec.parse(inputs), operation.client()
        operation.account.mark(client, spec.guard, operation.reporter.warning)
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

    def read(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> ReadResult | None:
        """Return what really runs."""
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
        found = duplicates.report(operation, "pod", live.id, ours, "it bills; `pulumi up` ends it")
        for copy in others:
            if copy not in ours:
                operation.reporter.warning(_copied(copy, live.id))
        known = {**_plain_defaults(), **inputs} if inputs else _imported(live, marker)
        declared = pod_state.declared_by(live, known, marker)
        beside = {gpu_watch.OUTPUT: gpu_watch.since(operation, live, state), duplicates.OUTPUT: found}
        return ReadResult(declared, pod_state.observe(live, declared, marker, operation.settings, beside))

    def update(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Values:
        """Change what API v2 can change in place, start what was stopped, and wait until it is ready again."""
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

    def delete(self, operation: Operation, resource_id: str, state: Values) -> None:
        """End the pod and look until it is gone."""
        client, marker = operation.client(), parse(str(state.get("marker", "")))
        prove = partial(operation.account.check, client, marker, f"pod {resource_id}")
        deletion.delete(operation, replace(deletion_targets.pod(client, resource_id), prove=prove))


def _ops(operation: Operation, client: Client, spec: PodSpec) -> ResourceOps[Pod]:
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
    """Return where to try; a volume leaves no choice of data centre."""
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


def _moves(operation: Operation, volume_id: str) -> str:
    requirement = operation.stack_files.volume(operation.urn)
    if requirement and requirement.keep:
        return (
            f"The network volume {volume_id} is new and empty. Because of volume.keep it moves to another data centre "
            f"only when volume.replace names it: set volume.replace: {volume_id} and run the same command again."
        )
    return (
        f"The network volume {volume_id} is new and empty, so it does not have to stay there: run the same command "
        "again, and it moves to another data centre that has one of them in stock."
    )


def _ready(
    operation: Operation, client: Client, inputs: Values, pod: Pod, marker: Marker, before: Pod | None = None
) -> Values:
    """Wait for the pod; whatever goes wrong from here on, the engine must learn that it exists, and how it is."""
    readiness = Readiness(operation, client, PodSpec.parse(inputs))
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
        return client.get_pod(live.id)  # Somebody else, or our own lost call, has started it already.
    except BadRequestError as refused:
        raise RunPodError(
            f"pod {live.id} cannot be started again: {refused.detail}. A stopped pod keeps its machine but not its "
            "GPUs; with whenStopped: replace it is placed anew (a network volume stays)."
        ) from refused


def _marker(state: Values, live: Pod) -> Marker:
    """Return the marker the pod should carry; what it carries can have been changed by others."""
    return parse(str(state.get("marker", ""))) or marker_of(live.name, live.env) or Marker("0" * 10, "0" * 8, "0" * 8)


def _duplicates(operation: Operation, client: Client, own_id: str, marker: Marker) -> list[Pod]:
    remaining = [pod for pod in client.list_pods() if pod.status != "TERMINATED"]
    return duplicates.find(operation, own_id, marker, remaining, lambda pod: marker_of(pod.name, pod.env))


def _copied(copy: Pod, own_id: str) -> str:
    """Return what is said of a pod that nothing shows to be made by this stack: somebody may work with it."""
    return (
        f"pod {copy.id} carries the mark of {own_id} and was not made by this stack, as one copied in RunPod's console "
        f"is not: it bills ${copy.cost:.2f}/h (${24 * copy.cost:.2f}/day) and is left alone. If nobody needs it, "
        f"`make sweep IDS={copy.id}` ends it"
    )


def _plain_defaults() -> Values:
    return {name: value for name, value in PodHandler.defaults.items() if value is not REQUIRED}


def _imported(live: Pod, marker: Marker) -> Values:
    """Return inputs for a pod that the program does not describe yet."""
    gpus, cpus = [live.gpu.id] if live.gpu else [], [live.cpu.id] if live.cpu else []
    return {
        **_plain_defaults(),
        "gpuTypeIdList": gpus,
        "cpuFlavorIdList": cpus,
        "guard": marker.instance,
        "ports": ",".join(live.ports),
    }
