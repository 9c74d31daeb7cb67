"""Rules for the loss of a network volume's content."""

from __future__ import annotations

from components.runpod.api.errors import RunPodError
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.volumes import unused_tag


class DataLossError(RunPodError):
    """An update would lose the content of a volume without permission."""


def is_empty(operation: ProviderOperation, resource_id: str) -> bool:
    """Return whether a volume is certainly empty; false without an API key."""
    return bool(operation.settings.api_key) and unused_tag.is_empty(operation.client(), resource_id)


def kept_by(operation: ProviderOperation, resource_id: str, state: Values) -> str:
    """Return why a volume is kept, by the current stack file or else by the last update; empty when it is not."""
    requirement = operation.stack_files.volume(operation.urn)
    if requirement is None:
        return "keep is set" if state.get("keep") else ""
    if requirement.id:
        return "volume.id in the stack file names " + ("it" if requirement.id == resource_id else "another volume")
    return "volume.keep is set in the stack file" if requirement.keep else ""


def would_lose(volume_id: str, changed: tuple[str, ...]) -> str:
    """Return why a replacement is refused, and the remedies."""
    return (
        f"network volume {volume_id} may contain data and would be replaced with an empty one because of a change of "
        f"{', '.join(changed)}. Its content is not moved. Undo the change or, if the content may be lost, "
        f"allow it: mayReplace = {volume_id} (in a stack file, volume.replace: {volume_id})."
    )
