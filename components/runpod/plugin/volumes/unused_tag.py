"""The tag for unused network volumes, in the volume's name at RunPod, where every machine can read it.

A new volume has `-unused` before its marker. The tag is removed before the first pod with the volume is requested, and
restored only when RunPod has certainly refused that pod. So a volume with the tag has never been used by a pod of any
checkout; one without it may contain data.
"""

from __future__ import annotations

from components.runpod.api.client import Client
from components.runpod.api.errors import AccessDeniedError
from components.runpod.api.models import NetworkVolume
from components.runpod.marker import split_name
from components.runpod.placement import Candidate

TAG = "-unused"


def tagged(name: str) -> str:
    """Return the name of an unused volume, with the tag."""
    base, marker = split_name(name)
    return marker.name(f"{base}{TAG}") if marker else name


def untagged(name: str) -> str:
    """Return the name of a volume without the tag."""
    base, marker = split_name(name)
    return marker.name(base.removesuffix(TAG)) if marker else name


def has_tag(volume: NetworkVolume) -> bool:
    """Return whether the name has the tag; false for a renamed volume."""
    base, marker = split_name(volume.name)
    return marker is not None and base.endswith(TAG)


def is_empty(client: Client, volume_id: str) -> bool:
    """Return whether a volume is certainly empty: its name has the tag, and nothing at RunPod uses it now.

    Resources that the key may not list could use it, so then the volume counts as used.
    """
    try:
        if not has_tag(client.get_network_volume(volume_id)):
            return False
        pods = any(mount.volume_id == volume_id for pod in client.list_pods() for mount in pod.mounts.network)
        return not pods and all(volume_id not in endpoint.volumes for endpoint in client.endpoints.all())
    except AccessDeniedError:
        return False


def mark_used(client: Client, volume_id: str) -> bool:
    """Remove the tag before the volume is used; return whether it was unused until now."""
    volume = client.get_network_volume(volume_id)
    if not has_tag(volume):
        return False
    client.network_volumes.update(volume_id, {"name": untagged(volume.name)})
    return True


def mark_unused(client: Client, volume_id: str) -> None:
    """Restore the tag after the volume was not used."""
    volume = client.get_network_volume(volume_id)
    client.network_volumes.update(volume_id, {"name": tagged(untagged(volume.name))})


class VolumeUse:
    """Removes a volume's tag before a pod is requested, and restores it when the pod certainly does not exist."""

    def __init__(self, client: Client, volume_id: str) -> None:
        self._client = client
        self._volume_id = volume_id
        self._was_new = False

    def taken(self, candidates: list[Candidate]) -> list[Candidate]:
        """Remove the tag; return the candidates unchanged."""
        if self._volume_id:
            self._was_new = mark_used(self._client, self._volume_id)
        return candidates

    def give_back(self, *, certain: bool) -> bool:
        """Restore the tag if the volume is certainly still unused; return whether it is."""
        if self._was_new and certain:
            mark_unused(self._client, self._volume_id)
        return self._was_new and certain
