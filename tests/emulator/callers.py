"""The user whose program calls: all users of a machine share its loopback, and a pod runs commands as ours."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

CONNECTIONS = Path("/proc/net/tcp")
"""The kernel's list of connections; another system than Linux has none, and there nobody is refused."""

Endpoint = tuple[str, int]


def is_ours(peer: Endpoint, here: Endpoint, connections: Path = CONNECTIONS) -> bool:
    """Say whether the program at the other end of a loopback connection is our user's, or root's."""
    try:
        lines = connections.read_text(encoding="ascii").splitlines()[1:]
    except FileNotFoundError:
        return True
    ends = [_hexadecimal(peer), _hexadecimal(here)]
    rows = [line.split() for line in lines]
    return any(row[1:3] == ends and _is_held_by_us(row) for row in rows)


def _is_held_by_us(row: list[str]) -> bool:
    # A socket that no program holds any more has the inode 0, and is listed as root's whoever opened it.
    user, inode = int(row[7]), int(row[9])
    return inode != 0 and user in {0, os.geteuid()}


def _hexadecimal(end: Endpoint) -> str:
    (address,) = struct.unpack("=I", socket.inet_aton(end[0]))
    return f"{address:08X}:{end[1]:04X}"
