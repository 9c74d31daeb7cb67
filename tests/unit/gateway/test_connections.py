"""What the gateway's own connections to ComfyUI make of a server that behaves, and of one that does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from provisioning.gateway.comfyui import connections
from provisioning.gateway.comfyui.answer import HELD_BYTES, MAX_HEAD_BYTES, Connection
from provisioning.gateway.comfyui.upstream import ComfyUI, Request
from provisioning.gateway.problems import Code, Problem
from tests.unit.gateway.conftest import until

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
GET = Request("GET", "/models")


@dataclass
class Server:
    """Answers the nth request of each connection with the nth of its answers; None hangs up instead."""

    answers: list[bytes | None]
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0
    at_once: int = 0
    stay: bool = True
    """Whether a connection stays open after its last answer."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    _open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        self.at_once = max(self.at_once, self._open)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._open -= 1

    async def ended(self) -> None:
        """Wait until every connection has gone."""
        await until(lambda: not self._open)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in self.answers:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            await self.gate.wait()
            if answer is None:
                return
            # Bytes by twos: an answer may come in any pieces.
            for at in range(0, min(len(answer), 400), 2):
                writer.write(answer[at : at + 2])
                await writer.drain()
            writer.write(answer[400:])
        if self.stay:
            await reader.read()


Opened = Callable[..., Awaitable[tuple[Server, ComfyUI]]]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    async with contextlib.AsyncExitStack() as stack:

        async def open_(*answers: bytes | None, stay: bool = True, held: bool = False) -> tuple[Server, ComfyUI]:
            server = Server(list(answers), stay=stay)
            if not held:
                server.gate.set()
            listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
            comfy = ComfyUI(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
            await comfy.start()
            stack.callback(listener.close)
            stack.push_async_callback(server.ended)
            stack.push_async_callback(comfy.close)
            stack.callback(server.gate.set)
            return server, comfy

        yield open_


async def got(comfy: ComfyUI, request: Request = GET) -> tuple[int, bytes]:
    async with comfy.stream(request) as reply:
        return reply.status, b"".join([chunk async for chunk in reply.chunks])


async def refused(comfy: ComfyUI, request: Request = GET) -> Code:
    with pytest.raises(Problem) as caught:
        await got(comfy, request)
    return caught.value.code


WHOLE = {
    "counted": (OK + b"Content-Length: 5\r\n\r\nhello", (200, b"hello")),
    "empty": (OK + b"Content-Length: 0\r\n\r\n", (200, b"")),
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", (200, b"hello")),
    "without content": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", (304, b"")),
    "long": (OK + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000, (200, b"x" * 3_000_000)),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_is_read_and_its_connection_is_used_again(opened: Opened, name: str) -> None:
    answer, expected = WHOLE[name]
    server, comfy = await opened(answer, answer)
    assert [await got(comfy), await got(comfy)] == [expected, expected]
    assert server.connections == 1


async def test_an_answer_without_a_length_ends_with_its_connection(opened: Opened) -> None:
    server, comfy = await opened(OK + b"\r\nhello", stay=False)
    assert [await got(comfy), await got(comfy)] == [(200, b"hello")] * 2
    assert server.connections == 2


@pytest.mark.parametrize("last", ["Connection: close\r\n", "Keep-Alive: 5\r\n"])
async def test_a_connection_that_ends_by_its_own_word_is_not_used_again(opened: Opened, last: str) -> None:
    version = b"1.1" if "close" in last else b"1.0"
    answer = b"HTTP/" + version + b" 200 OK\r\n" + last.encode() + b"Content-Length: 2\r\n\r\nok"
    server, comfy = await opened(answer, answer)
    assert [await got(comfy), await got(comfy)] == [(200, b"ok")] * 2
    assert server.connections == 2


async def test_only_what_was_asked_for_and_no_more_is_sent(opened: Opened) -> None:
    server, comfy = await opened(OK + b"Content-Length: 0\r\n\r\n")
    request = Request("GET", "/view", {"filename": "a b&c.png", "type": "output"}, {"range": "bytes=0-1"})
    assert await got(comfy, request) == (200, b"")
    lines = server.asked[0].decode().split("\r\n")
    assert lines[0] == "GET /view?filename=a+b%26c.png&type=output HTTP/1.1"
    assert {line.partition(":")[0].lower() for line in lines[1:-2]} == {
        "host", "user-agent", "accept", "accept-encoding", "range",
    }  # fmt: skip


BROKEN = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "a head without an end": OK + b"X: " + b"x" * (MAX_HEAD_BYTES + 1),
    "a long head": OK + b"X: " + b"x" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "a length that is none": OK + b"Content-Length: -2\r\n\r\nab",
    "a length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "less than announced": OK + b"Content-Length: 9\r\n\r\nhello",
    "more than announced": OK + b"Content-Length: 2\r\n\r\nhello",
    "half a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhel",
    "no chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nhello\r\n",
    "an interim answer": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_whole_answer_is_none(opened: Opened, name: str) -> None:
    server, comfy = await opened(BROKEN[name], stay=False)
    assert await refused(comfy) is Code.UPSTREAM_ERROR
    assert server.connections == 1


async def test_a_connection_closed_while_it_was_not_used_is_replaced(opened: Opened) -> None:
    answer = OK + b"Content-Length: 2\r\n\r\nok"
    server, comfy = await opened(answer, None)
    assert [await got(comfy) for _ in range(3)] == [(200, b"ok")] * 3
    # The second question came over the first connection, which hung up, and then again over the second.
    assert (server.connections, len(server.asked)) == (3, 5)


async def test_an_answer_that_is_not_wanted_any_more_ends_its_connection(opened: Opened) -> None:
    server, comfy = await opened(OK + b"Content-Length: 9000000\r\n\r\n" + b"x" * 9_000_000, OK)
    async with comfy.stream(GET) as reply:
        assert len(await reply.read()) > 0
    async with comfy.stream(GET) as reply:
        assert reply.status == 200
    assert server.connections == 2


async def test_whoever_leaves_while_waiting_takes_the_connection_along(opened: Opened) -> None:
    server, comfy = await opened(OK + b"Content-Length: 2\r\n\r\nok", held=True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(got(comfy), 0.1)
    server.gate.set()
    assert await got(comfy) == (200, b"ok")
    assert server.connections == 2


async def test_nobody_there() -> None:
    comfy = ComfyUI("http://127.0.0.1:9")
    await comfy.start()
    assert await refused(comfy) is Code.UPSTREAM_UNAVAILABLE
    await comfy.close()


@pytest.mark.parametrize("begun", [b"", OK, OK + b"Content-Length: 9\r\n\r\nhello"])
async def test_silence_is_not_waited_for_longer_than_the_bound(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(connections, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    _, comfy = await opened(begun)
    assert await refused(comfy) is Code.UPSTREAM_TIMEOUT


async def test_an_unused_connection_is_closed(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    server, comfy = await opened(OK + b"Content-Length: 2\r\n\r\nok")
    assert await got(comfy) == (200, b"ok")
    await server.ended()
    assert await got(comfy) == (200, b"ok")


async def test_so_many_at_once_and_no_more(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    server, comfy = await opened(*[OK + b"Content-Length: 2\r\n\r\nok"] * 10)
    assert await asyncio.gather(*(got(comfy) for _ in range(10))) == [(200, b"ok")] * 10
    assert server.at_once == 3


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/a\r\nX: y"),
        Request("GET", "/a b"),
        Request("GET", "a"),
        Request("GET", "/a", headers={"range": "x\r\ny: z"}),
    ],
)
async def test_a_line_break_never_becomes_a_second_request(opened: Opened, request_: Request) -> None:
    server, comfy = await opened(OK)
    assert await refused(comfy, request_) is Code.INVALID_REQUEST
    assert server.asked == []


class Transport(asyncio.Transport):
    """A transport that notes whether it is to read."""

    def __init__(self) -> None:
        super().__init__()
        self._reading = True

    def is_reading(self) -> bool:
        return self._reading

    def abort(self) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True


async def asked(answer: bytes) -> tuple[Transport, Connection]:
    """Return a connection on which a question was answered so."""
    transport, connection = Transport(), Connection()
    connection.connection_made(transport)
    asking = asyncio.create_task(connection.ask(b"GET / HTTP/1.1\r\n\r\n"))
    await asyncio.sleep(0)
    connection.data_received(answer)
    await asking
    return transport, connection


async def test_an_answer_that_nobody_asked_for_is_given_to_nobody() -> None:
    answer = OK + b"Content-Length: 2\r\n\r\nok"
    _, connection = await asked(answer)
    assert await connection.read() == b"ok"
    reusable = [connection.is_reusable]
    connection.data_received(answer)
    assert [*reusable, connection.is_reusable] == [True, False]
    with pytest.raises(ConnectionError):
        await connection.ask(b"GET / HTTP/1.1\r\n\r\n")


async def test_a_slow_reader_holds_up_the_sender_and_not_the_memory() -> None:
    transport, connection = await asked(OK + b"Content-Length: 100000000\r\n\r\n")
    piece, sent = b"x" * 100_000, 0
    while transport.is_reading():
        connection.data_received(piece)
        sent += len(piece)
        assert sent <= HELD_BYTES + len(piece)
    while not transport.is_reading():
        sent -= len(await connection.read())
        assert sent > 0
    assert sent <= HELD_BYTES // 2
