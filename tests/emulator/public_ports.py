"""Free loopback ports for pods and for servers of tests, below the range of outgoing connections."""

from __future__ import annotations

import os
import secrets
import socket
from collections import deque
from collections.abc import Collection, Iterator

FIRST, LAST = 20000, 31999

_MOST_KEPT = 100
_kept: deque[Reservation] = deque()


class Reservation:
    """A port that no other search on this machine finds until it is given up, or until this process ends.

    It is held by a datagram socket of the same number: that is in no server's way, and no record of it is left over.
    """

    def __init__(self, taken: Collection[int] = ()) -> None:
        """Reserve a port that is not in `taken`; OSError when there is none."""
        self.port, self._descriptor = next(_found(taken), (0, -1))
        if not self.port:
            raise OSError(f"no free port between {FIRST} and {LAST} on 127.0.0.1; end what holds them")

    def end(self) -> None:
        """Give it up; whoever listens on it goes on."""
        os.close(self._descriptor)


def free_port(taken: Collection[int]) -> int:
    """Return a port that nobody listens on or has reserved and that is not in `taken`, to be listened on at once.

    OSError when there is none.
    """
    found = Reservation(taken)
    found.end()
    return found.port


def kept_port() -> int:
    """Return a port for a server that a test starts sooner or later: it is reserved until a hundred others are."""
    if len(_kept) == _MOST_KEPT:
        _kept.popleft().end()
    _kept.append(Reservation())
    return _kept[-1].port


def is_free(port: int) -> bool:
    """Say whether 127.0.0.1:port can be listened on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _found(taken: Collection[int]) -> Iterator[tuple[int, int]]:
    # Not from the shared generator: tests seed it, and processes of one seed would look at the same ports first.
    begin = FIRST + secrets.randbelow(LAST + 1 - FIRST)
    for port in (*range(begin, LAST + 1), *range(FIRST, begin)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in taken and is_free(port):
                yield port, holder.detach()
