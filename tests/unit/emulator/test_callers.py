"""Loopback is everybody's: only our own user's programs may make pods, which run as we do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.emulator import app, callers
from tests.unit.emulator.harness import POD, running

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connection over loopback: the client's end and the server's."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with closing(client), closing(server):
            yield client, server


def test_our_own_program_is_known(pair: Pair) -> None:
    assert callers.is_ours(pair[1].getpeername(), pair[1].getsockname())


@pytest.mark.parametrize(
    ("user", "inode", "ours"), [(os.geteuid(), 7, True), (0, 7, True), (os.geteuid() + 1, 7, False), (0, 0, False)]
)
def test_users_are_told_apart(tmp_path: Path, user: int, inode: int, ours: bool) -> None:
    """The last: a client that hangs up at once is listed as root's."""
    row = f"0: {callers._hexadecimal(('127.0.0.1', 4321))} {callers._hexadecimal(('127.0.0.1', 8642))}"
    (tmp_path / "tcp").write_text(f"head\n{row} 01 0:0 0:0 0 {user} 0 {inode} 1\n")
    assert callers.is_ours(("127.0.0.1", 4321), ("127.0.0.1", 8642), tmp_path / "tcp") is ours
    assert not callers.is_ours(("127.0.0.1", 4322), ("127.0.0.1", 8642), tmp_path / "tcp")


def test_where_the_system_keeps_no_list_nobody_is_refused(tmp_path: Path) -> None:
    assert callers.is_ours(("127.0.0.1", 1), ("127.0.0.1", 2), tmp_path / "none")


async def test_another_user_gets_neither_pods_nor_the_control_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as api:
        monkeypatch.setattr(app, "is_ours", lambda *_: False)
        for method, path, body in (("POST", "/v2/pods", POD), ("GET", "/_emulator/pods", None)):
            assert (await api.client.request(method, path, json=body)).status == 403
        assert api.runtime.started == []
