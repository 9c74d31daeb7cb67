"""Whether the content of a network volume may be lost: by a person's word, by what the stack file says, or never."""

from __future__ import annotations

from components.runpod.api.errors import RunPodError
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import Operation
from components.runpod.plugin.volumes import unused_tag


class DataLossError(RunPodError):
    """An update would lose the content of a volume, and nobody has said that it may."""


def is_empty(operation: Operation, resource_id: str) -> bool:
    """Say whether a volume is certainly empty; without an API key nobody knows."""
    return bool(operation.settings.api_key) and unused_tag.is_empty(operation.client(), resource_id)


def kept_by(operation: Operation, resource_id: str, state: Values) -> str:
    """Return what keeps a volume: the stack file as it is now or, where it says nothing, the last update."""
    requirement = operation.stack_files.volume(operation.urn)
    if requirement is None:
        return "keep is set" if state.get("keep") else ""
    if requirement.id:
        return "volume.id in the stack file names " + ("it" if requirement.id == resource_id else "another one to use")
    return "volume.keep is set in the stack file" if requirement.keep else ""


def would_lose(volume_id: str, changed: tuple[str, ...]) -> str:
    """Return why a replacement is refused, and the two ways on."""
    return (
        f"network volume {volume_id} holds data, or may, and would be replaced by an empty one because of another "
        f"{', '.join(changed)}. Nothing moves its content. Put that back as it was or, if the content may be lost, "
        f"name the volume: mayReplace = {volume_id} (in a stack file, volume.replace: {volume_id})."
    )
