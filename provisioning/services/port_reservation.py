"""Reservation of the gateway's port while no gateway listens: another listener would receive the clients' keys.

Custom nodes, which run as ComfyUI's user, could bind it meanwhile. The kernel allows SO_REUSEPORT only between sockets
of one user. So supervisord keeps a bound socket of the gateway's user that never listens; then only the gateway can
bind the port as well.
"""

from __future__ import annotations

import os
import socket

DESCRIPTOR = 4
"""supervisord closes inherited descriptors from 5, and does not pass on the others to its programs."""


def hold(port: int, user: int) -> None:
    """Reserve a port for a user during the lifetime of this process, including a program that it executes.

    Uses the file descriptor DESCRIPTOR. Raises OSError when another process has the port.
    """
    before = os.geteuid()
    os.seteuid(user)
    try:
        holder = socket.socket()
    finally:
        os.seteuid(before)
    with holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("0.0.0.0", port))  # noqa: S104  (as the gateway does; it never listens)
        _keep(holder.detach())


def _keep(descriptor: int) -> None:
    if descriptor != DESCRIPTOR:
        os.dup2(descriptor, DESCRIPTOR)
        os.close(descriptor)
    os.set_inheritable(DESCRIPTOR, True)  # noqa: FBT003  (it takes no names)
