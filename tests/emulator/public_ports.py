"""Public port numbers for pods, from a range below the one that outgoing connections use."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

FIRST, LAST = 20000, 31999


def free_port(taken: Collection[int]) -> int:
    """Return a port of loopback that nobody listens on and that is not in `taken`; OSError when there is none."""
    candidates = [port for port in range(FIRST, LAST + 1) if port not in taken]
    for port in random.sample(candidates, len(candidates)):
        if is_free(port):
            return port
    raise OSError(f"no free port between {FIRST} and {LAST} on 127.0.0.1; end what holds them")


def is_free(port: int) -> bool:
    """Say whether 127.0.0.1:port can be listened on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
