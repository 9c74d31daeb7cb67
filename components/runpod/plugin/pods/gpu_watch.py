"""A pod that comes back from a stop may have no GPU, and bills. RunPod's list of them can also be late or have a gap.

So fewer GPUs than were asked for are believed only when they stay missing for minutes, and when both of RunPod's
answers about the pod, its own and the list's entry, say so at the end of that time. Nothing is ended by a look alone.
"""

from __future__ import annotations

from datetime import UTC, datetime

from components.runpod.api.client import Client
from components.runpod.api.errors import NotFoundError
from components.runpod.api.models import Pod
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import Operation

OUTPUT = "gpusMissingSince"
"""Output of a pod: when a look first showed fewer GPUs than it should have, RFC 3339; empty while it shows them."""


def shows_too_few(live: Pod, wanted: int) -> bool:
    """Say whether a running pod shows fewer GPUs than are wanted."""
    return live.status == "RUNNING" and live.gpu is not None and live.gpus_got < wanted


def since(operation: Operation, live: Pod, state: Values) -> str:
    """Return since when GPUs are missing, as a look at the pod sees it; empty when none are."""
    if live.gpu is None or not shows_too_few(live, live.gpu.count):
        return ""
    known = str(state.get(OUTPUT) or "")
    return known or timestamp(operation)


def timestamp(operation: Operation) -> str:
    """Return the present moment as the state holds it."""
    return datetime.fromtimestamp(operation.wall(), UTC).isoformat(timespec="seconds")


def is_lost(operation: Operation, pod_id: str, state: Values) -> bool:
    """Say whether a pod has been without its GPUs for so long that it is to be replaced, and still is."""
    noted = str(state.get(OUTPUT) or "")
    if not noted or not operation.settings.api_key:
        return False
    left = operation.settings.gpu_missing_seconds - _age(operation, noted)
    if left > 0:
        operation.reporter.warning(
            f"pod {pod_id} shows no GPU, or fewer than asked for, since {noted}, and bills; "
            f"an update in {left:.0f} s or later replaces it if that lasts"
        )
        return False
    return is_confirmed(operation.client(), pod_id)


def is_confirmed(client: Client, pod_id: str) -> bool:
    """Say whether both answers of RunPod about the pod show too few GPUs now."""
    try:
        looks = [client.get_pod(pod_id), *(pod for pod in client.list_pods() if pod.id == pod_id)]
    except NotFoundError:
        return False
    return len(looks) > 1 and all(live.gpu and shows_too_few(live, live.gpu.count) for live in looks)


def _age(operation: Operation, noted: str) -> float:
    try:
        return operation.wall() - datetime.fromisoformat(noted).timestamp()
    except ValueError:
        return 0.0
