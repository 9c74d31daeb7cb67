"""Whether a network volume is new and empty, recorded where every machine sees it: in the volume's name at RunPod.

A volume is made with `-unused` before its marker. The tag goes before the first pod with the volume is asked for, and
comes back only when RunPod has refused that pod for certain. So a volume with the tag has never had a pod of any
checkout, of any person, under any state; one without it holds data, or may.
"""

from __future__ import annotations

from components.runpod.api.client import Client
from components.runpod.api.errors import AccessDeniedError
from components.runpod.api.models import NetworkVolume
from components.runpod.marker import split_name
from components.runpod.placement import Candidate

TAG = "-unused"


def tagged(name: str) -> str:
    """Return the name of a volume that nothing has used yet."""
    base, marker = split_name(name)
    return marker.name(f"{base}{TAG}") if marker else name


def untagged(name: str) -> str:
    """Return the name of a volume without the tag."""
    base, marker = split_name(name)
    return marker.name(base.removesuffix(TAG)) if marker else name


def has_tag(volume: NetworkVolume) -> bool:
    """Say whether the name says that nothing has used the volume; one that somebody has renamed says nothing."""
    base, marker = split_name(volume.name)
    return marker is not None and base.endswith(TAG)


def is_empty(client: Client, volume_id: str) -> bool:
    """Say whether a volume is certainly empty: its name says so, and nothing at RunPod has it now.

    What the key may not look at could have it, so then the volume counts as used.
    """
    try:
        if not has_tag(client.get_network_volume(volume_id)):
            return False
        pods = any(mount.volume_id == volume_id for pod in client.list_pods() for mount in pod.mounts.network)
        return not pods and all(volume_id not in endpoint.volumes for endpoint in client.endpoints.all())
    except AccessDeniedError:
        return False


def mark_used(client: Client, volume_id: str) -> bool:
    """Record that something is about to use the volume; say whether it was new until now."""
    volume = client.get_network_volume(volume_id)
    if not has_tag(volume):
        return False
    client.network_volumes.update(volume_id, {"name": untagged(volume.name)})
    return True


def mark_unused(client: Client, volume_id: str) -> None:
    """Record that nothing has used the volume after all."""
    volume = client.get_network_volume(volume_id)
    client.network_volumes.update(volume_id, {"name": tagged(untagged(volume.name))})


class VolumeUse:
    """The record that a pod is asked for with a volume, made before and taken back when there is none for certain."""

    def __init__(self, client: Client, volume_id: str) -> None:
        self._client = client
        self._volume_id = volume_id
        self._was_new = False

    def taken(self, candidates: list[Candidate]) -> list[Candidate]:
        """Record it; return the candidates as they are."""
        if self._volume_id:
            self._was_new = mark_used(self._client, self._volume_id)
        return candidates

    def give_back(self, *, certain: bool) -> bool:
        """Take the record back if the volume was new and certainly is; say whether it is new."""
        if self._was_new and certain:
            mark_unused(self._client, self._volume_id)
        return self._was_new and certain
