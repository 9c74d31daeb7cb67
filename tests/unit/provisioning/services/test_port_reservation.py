"""Between two starts of the gateway nobody else can listen in its place."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.emulator.public_ports import kept_port

HOLDER = """
import os, sys
from provisioning.services import port_reservation
port_reservation.hold(int(sys.argv[1]), int(sys.argv[2]))
os.execv(sys.executable, [sys.executable, "-c", "print('held', flush=True); input()"])
"""

THIEF = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
thief = socket.socket()
for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
    thief.setsockopt(socket.SOL_SOCKET, option, 1)
thief.bind((sys.argv[3], int(sys.argv[1])))
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A port that another process holds for this user, and has become another program since."""
    number = kept_port()
    command = [sys.executable, "-c", HOLDER, str(number), str(os.geteuid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield number
        holder.kill()


def _socket(*options: int) -> socket.socket:
    made = socket.socket()
    for option in options:
        made.setsockopt(socket.SOL_SOCKET, option, 1)
    return made


def test_nothing_listens_until_the_gateway_does(port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=60)


def test_the_gateway_can_listen_beside_it_again_and_again(port: int) -> None:
    for _ in range(3):
        with _socket(socket.SO_REUSEADDR, socket.SO_REUSEPORT) as gateway:
            gateway.bind(("0.0.0.0", port))  # noqa: S104  (what the gateway does)
            gateway.listen()
            with closing(socket.create_connection(("127.0.0.1", port), timeout=60)), closing(gateway.accept()[0]):
                pass


@pytest.mark.parametrize("options", [(), (socket.SO_REUSEADDR,)])
def test_a_socket_without_sharing_cannot_bind_the_port(port: int, options: tuple[int, ...]) -> None:
    with _socket(*options) as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])  # noqa: S104  (what a thief would do)
def test_another_user_cannot_bind_the_port(port: int, address: str) -> None:
    command = [sys.executable, "-c", THIEF, str(port), "65534", address]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "in use" in tried.stderr
