"""How much begins in one turn of the event loop, and how many connections are accepted in one."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import uvloop

from provisioning.gateway.serve import ACCEPTS, descriptors
from provisioning.gateway.web.turns import MOST, Turns


class _Counted:
    """Counts the turns of the event loop, and notes in which of them things happen."""

    def __init__(self) -> None:
        self.turn = 0
        self.noted: list[tuple[str, int]] = []
        self.news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._next()

    def _next(self) -> None:
        self.turn += 1
        self._loop.call_soon(self._next)

    def note(self, name: str) -> Callable[[], object]:
        """Return a call that notes `name`."""

        def noting() -> None:
            self.noted.append((name, self.turn))
            self.news.set()

        return noting

    async def until(self, many: int) -> None:
        """Wait until so many things have been noted."""
        while len(self.noted) < many:
            self.news.clear()
            await self.news.wait()


def test_so_many_requests_begin_in_one_turn_and_in_their_order() -> None:
    def read(turns: Turns, counted: _Counted) -> None:
        for number in range(5 * MOST):
            # As long as it takes to read a request: a turn is not over because time has passed.
            time.sleep(0.0002)
            turns.begin(counted.note(str(number)))

    async def run() -> list[tuple[str, int]]:
        turns, counted = Turns(), _Counted()
        read(turns, counted)
        await counted.until(5 * MOST)
        return counted.noted

    noted = uvloop.run(run())
    assert [name for name, _ in noted] == [str(number) for number in range(5 * MOST)]
    per_turn = [sum(turn == each for _, turn in noted) for each in {turn for _, turn in noted}]
    assert per_turn == [MOST] * 5


def test_who_comes_later_does_not_overtake_those_who_wait() -> None:
    async def run() -> list[str]:
        turns, counted = Turns(), _Counted()
        for number in range(4 * MOST):
            turns.begin(counted.note(str(number)))
        await asyncio.sleep(0)
        turns.begin(counted.note("late"))
        await counted.until(4 * MOST + 1)
        return [name for name, _ in counted.noted]

    assert uvloop.run(run()) == [*map(str, range(4 * MOST)), "late"]


def test_a_probe_waits_for_nobody() -> None:
    async def run() -> list[str]:
        turns, counted = Turns(), _Counted()
        for number in range(3 * MOST):
            turns.begin(counted.note(str(number)))
        turns.begin(counted.note("probe"), at_once=True)
        return [name for name, _ in counted.noted]

    assert uvloop.run(run()) == [*map(str, range(MOST)), "probe"]


def test_connections_are_accepted_several_in_a_turn() -> None:
    """With one descriptor it is one in a turn, and whoever comes behind a crowd waits for as many turns."""
    many = 8 * ACCEPTS

    async def run(listeners: list[socket.socket]) -> int:
        loop, counted = asyncio.get_running_loop(), _Counted()

        class Noting(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                counted.note("made")()

        servers = [await loop.create_server(Noting, sock=each) for each in listeners]
        address = listeners[0].getsockname()
        clients = [socket.create_connection(address) for _ in range(many)]
        await counted.until(many)
        for client in clients:
            client.close()
        for server in servers:
            server.close()
        return counted.noted[-1][1] - counted.noted[0][1]

    with socket.create_server(("127.0.0.1", 0), backlog=many) as alone:
        assert uvloop.run(run([alone])) >= many - 1, "libuv has changed: one descriptor is enough again"
    with socket.create_server(("127.0.0.1", 0), backlog=many) as listener:
        assert uvloop.run(run(descriptors(listener))) <= many // 2
