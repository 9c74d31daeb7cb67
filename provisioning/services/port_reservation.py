"""The gateway's port while no gateway listens: whoever took it then would be sent the keys of clients.

ComfyUI's user, as whom custom nodes run, could wait for such a moment. The kernel lets a port be shared (SO_REUSEPORT)
only by sockets that one user made. So a socket made as the gateway's user is bound, never listens, and stays open in
supervisord for as long as that lives; only the gateway can bind beside it.
"""

from __future__ import annotations

import os
import socket

DESCRIPTOR = 4
"""supervisord closes what it inherits from 5 on, and hands none of it to its programs."""


def hold(port: int, user: int) -> None:
    """Keep a port for a user, for as long as this process or what it becomes lives.

    Takes the file descriptor DESCRIPTOR. Raises OSError when another process has the port.
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
