"""A network volume belongs to one stack at a time.

Two stacks on one volume would overwrite each other's sealed secrets and archives.
"""

from __future__ import annotations

from components.runpod.api.client import Client
from components.runpod.api.errors import RunPodError
from components.runpod.api.models import Pod
from components.runpod.marker import marker_of


class SharedVolumeError(RunPodError):
    """Another stack's pod uses the volume."""


def refuse(client: Client, volume_id: str, guard: str) -> None:
    """Refuse a volume that a pod of another stack uses, before anything is rented.

    Args:
        client: The account.
        volume_id: The volume; empty means none.
        guard: The stack's instance id. Its own pods may share the volume during a handover.

    Raises:
        SharedVolumeError: Another stack's pod uses it.
        CallError: RunPod does not answer, or refuses.
    """
    for pod in client.list_pods() if volume_id else ():
        if pod.status != "TERMINATED" and _has(pod, volume_id) and _is_of_another(pod, guard):
            raise SharedVolumeError(
                f"network volume {volume_id} belongs to the pod {pod.id} ({pod.name}) of another stack, and a "
                "volume can be used by one stack at a time. Destroy or pause that environment, or remove volume.id"
            )


def _has(pod: Pod, volume_id: str) -> bool:
    return any(mount.volume_id == volume_id for mount in pod.mounts.network)


def _is_of_another(pod: Pod, guard: str) -> bool:
    # A pod without a marker was created by hand, for example to inspect or fill the volume.
    marker = marker_of(pod.name, pod.env)
    return marker is not None and marker.instance != guard
