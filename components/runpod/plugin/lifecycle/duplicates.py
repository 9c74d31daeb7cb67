"""Duplicates: what carries the marker of a resource and is not the one in the state.

A lost POST that took effect after all makes one, and so does somebody who copies a pod in RunPod's console. A read only
notes them, so that a preview shows an update; the update looks again and ends them. `make sweep` does so, too.

A pod that somebody has copied may do that person's work. It carries the very marker of the pod, and so does what a lost
POST has made; but that one was made within the time in which this creation asked for a pod, by RunPod's own clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

from components.runpod.api.models import Pod
from components.runpod.marker import Marker, marker_of
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import Operation
from components.runpod.plugin.lifecycle.creation import POSTS, HasId, is_recent

OUTPUT = "twins"
"""Output with the ids of the duplicates that the last look has found."""

Live = TypeVar("Live", bound=HasId)


def find(
    operation: Operation,
    own_id: str,
    own: Marker | None,
    things: Iterable[Live],
    marker: Callable[[Live], Marker | None],
) -> list[Live]:
    """Return the duplicates of one resource.

    A copy carries the very same marker. What another creation of the same resource has left carries another nonce; it
    is a leftover only where the state can be read and does not hold it, for it may be waiting for its deletion there.
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


def is_ours(operation: Operation, own: Pod, duplicate: Pod, marker: Marker) -> bool:
    """Say whether a duplicate of a pod can be shown to be what a creation of this stack has made.

    Args:
        operation: Knows the records of creations, and which ones the state calls unfinished.
        own: The pod that the state holds.
        duplicate: One that `find` has returned.
        marker: What `own` is marked with.
    """
    found = marker_of(duplicate.name, duplicate.env)
    records = operation.intents.of_instance(marker.instance)
    if any(one.marker == str(found) and one.resource_id in {"", duplicate.id} for one in records):
        return True
    if found != marker:
        # Whoever was killed while it made this one has left no record here, and the state tells of it.
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


def report(operation: Operation, what: str, own_id: str, duplicate_ids: Iterable[HasId], then: str) -> list[str]:
    """Report the duplicates and what is done with them; return their ids."""
    ids = sorted(duplicate.id for duplicate in duplicate_ids)
    for duplicate in ids:
        operation.reporter.warning(f"{what} {duplicate} carries the mark of {own_id} and is not in the state: {then}")
    return ids


def noted(state: Values) -> bool:
    """Say whether the last look has found any."""
    return bool(state.get(OUTPUT))
