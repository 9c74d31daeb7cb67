"""What becomes of connections when there are very many: those that wait for nothing make room."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

CROWD = 3000
"""Connections from which on idle ones are closed; the server's own limit, at which all are refused, is higher."""
SHARE = 10
"""One idle connection in so many is closed at once, so that not every new one looks through all of them."""


@runtime_checkable
class Guest(Protocol):
    """A connection that knows whether it waits for a request; WebSockets never do."""

    def idle_since(self) -> float | None:
        """Return since when it has waited for its next request; None while it is at work."""

    def make_room(self) -> None:
        """Close."""


def thin_out(connections: Iterable[object]) -> None:
    """Close the connections that have been idle longest.

    A connection costs its holder nothing; without this, whoever holds enough of them locks everybody else out.
    """
    guests = [each for each in connections if isinstance(each, Guest)]
    idle = [(since, guest) for guest in guests if (since := guest.idle_since()) is not None]
    idle.sort(key=lambda pair: pair[0])
    for _, guest in idle[: len(idle) // SHARE + 1]:
        guest.make_room()
