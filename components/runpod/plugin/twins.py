"""Twins: what carries the marker of a resource and is not the one in the state.

A lost POST that took effect after all makes one, and so does somebody who copies a pod in RunPod's console. A read only
notes them, so that a preview shows an update; the update looks again and ends them. `make sweep` does so, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from components.runpod.marker import Marker
from components.runpod.plugin.creation import Thing
from components.runpod.plugin.kind import Operation
from components.runpod.plugin.values import Values

OUTPUT = "twins"
"""Output with the ids of the twins that the last look has found."""

Live = TypeVar("Live", bound=Thing)


def find(
    operation: Operation,
    own_id: str,
    own: Marker | None,
    things: Iterable[Live],
    marker: Callable[[Live], Marker | None],
) -> list[Live]:
    """Return the twins of one resource.

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


def report(operation: Operation, what: str, own_id: str, twins: Iterable[Thing], then: str) -> list[str]:
    """Say which twins there are and what becomes of them; return their ids."""
    ids = sorted(twin.id for twin in twins)
    for twin in ids:
        operation.screen.warning(f"{what} {twin} carries the mark of {own_id} and is not in the state: {then}")
    return ids


def noted(state: Values) -> bool:
    """Say whether the last look has found any."""
    return bool(state.get(OUTPUT))
