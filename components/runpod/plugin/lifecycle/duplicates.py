"""Duplicates: resources with the marker of a resource in the state, other than that resource.

A POST with a lost answer creates one when it took effect, and so does copying a pod in RunPod's console. A read only
records them, so that a preview shows an update; the update checks again and deletes them. `make sweep` does so, too.

A copied pod may be in use by another person. It has the same marker as the original, and so has the result of a lost
POST; but only the latter was created while this creation requested a pod, by RunPod's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

from components.runpod.api.models import Pod
from components.runpod.marker import Marker, marker_of
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.lifecycle.creation import POSTS, HasId, is_recent

OUTPUT = "duplicates"
"""Output with the ids of the duplicates that the last read found."""

Live = TypeVar("Live", bound=HasId)


def find(
    operation: ProviderOperation,
    own_id: str,
    own: Marker | None,
    things: Iterable[Live],
    marker: Callable[[Live], Marker | None],
) -> list[Live]:
    """Return the duplicates of one resource.

    A copy has the same marker. The result of another creation of the same resource has another nonce; it is a leftover
    only when the state is readable and does not contain it, because it may be pending deletion there.
    """
    if own is None:
        return []
    saved = operation.saved_ids()
    return [
        thing
        for thing in things
        if thing.id != own_id
        and own.same_resource(found := marker(thing))
        and (found == own or (saved is not None and thing.id not in saved))
    ]


def is_ours(operation: ProviderOperation, own: Pod, duplicate: Pod, marker: Marker) -> bool:
    """Return whether a duplicate of a pod was provably created by this stack.

    Args:
        operation: Provides the records of creations and the unfinished creations in the state.
        own: The pod in the state.
        duplicate: A result of `find`.
        marker: The marker of `own`.
    """
    found = marker_of(duplicate.name, duplicate.env)
    records = operation.intents.of_instance(marker.instance)
    if any(one.marker == str(found) and one.resource_id in {"", duplicate.id} for one in records):
        return True
    if found != marker:
        # A run killed on another machine left no record here, but the state contains its creation.
        return is_recent(operation)
    began, made = _moment(own.created_at), _moment(duplicate.created_at)
    if began is None or made is None:
        return False
    return abs(made - began) <= POSTS * operation.settings.late_effect_seconds


def _moment(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return None


def report(
    operation: ProviderOperation, what: str, own_id: str, duplicate_ids: Iterable[HasId], then: str
) -> list[str]:
    """Print the duplicates and how they are handled; return their ids."""
    ids = sorted(duplicate.id for duplicate in duplicate_ids)
    for duplicate in ids:
        operation.reporter.warning(f"{what} {duplicate} has the marker of {own_id} and is not in the state: {then}")
    return ids


def noted(state: Values) -> bool:
    """Return whether the last read found any."""
    return bool(state.get(OUTPUT))
