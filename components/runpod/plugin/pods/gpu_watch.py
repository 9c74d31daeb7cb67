"""Detection of pods without GPUs: a restarted pod may have none, and is billed.

RunPod's list of GPUs can be late or incomplete. So GPUs count as missing only after some minutes, and when both of
RunPod's answers, the pod's own and its entry in the list, show it at the end of that time.
"""

from __future__ import annotations

from datetime import UTC, datetime

from components.runpod.api.client import Client
from components.runpod.api.errors import NotFoundError
from components.runpod.api.models import Pod
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import ProviderOperation

OUTPUT = "gpusMissingSince"
"""Output of a pod: when it first showed fewer GPUs than requested, RFC 3339; empty otherwise."""


def shows_too_few(live: Pod, wanted: int) -> bool:
    """Return whether a running pod shows fewer GPUs than requested."""
    return live.status == "RUNNING" and live.gpu is not None and live.gpus_got < wanted


def since(operation: ProviderOperation, live: Pod, state: Values) -> str:
    """Return since when GPUs are missing, by the pod's current answer; empty when none are."""
    if live.gpu is None or not shows_too_few(live, live.gpu.count):
        return ""
    known = str(state.get(OUTPUT) or "")
    return known or timestamp(operation)


def timestamp(operation: ProviderOperation) -> str:
    """Return the current time in the state's format."""
    return datetime.fromtimestamp(operation.wall(), UTC).isoformat(timespec="seconds")


def is_lost(operation: ProviderOperation, pod_id: str, state: Values) -> bool:
    """Return whether a pod has been without its GPUs long enough to be replaced, and still is."""
    noted = str(state.get(OUTPUT) or "")
    if not noted or not operation.settings.api_key:
        return False
    left = operation.settings.gpu_missing_seconds - _age(operation, noted)
    if left > 0:
        operation.reporter.warning(
            f"pod {pod_id} shows no GPU, or fewer than requested, since {noted}, and is billed; "
            f"an update in {left:.0f} s or later replaces it if that lasts"
        )
        return False
    return is_confirmed(operation.client(), pod_id)


def is_confirmed(client: Client, pod_id: str) -> bool:
    """Return whether both of RunPod's answers about the pod show too few GPUs now."""
    try:
        looks = [client.get_pod(pod_id), *(pod for pod in client.list_pods() if pod.id == pod_id)]
    except NotFoundError:
        return False
    return len(looks) > 1 and all(live.gpu and shows_too_few(live, live.gpu.count) for live in looks)


def _age(operation: ProviderOperation, noted: str) -> float:
    try:
        return operation.wall() - datetime.fromisoformat(noted).timestamp()
    except ValueError:
        return 0.0
