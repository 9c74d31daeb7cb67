"""The client of ComfyUI with valid and invalid HTTP responses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import CHUNK_BYTES, DEFAULT_LIMITS, ComfyUIHttpClient, Request, UpstreamLimits
from tests.unit.gateway.conftest import until

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
GET = Request("GET", "/models")
MAX_HEAD_BYTES = 64 * 1024
KERNEL_BYTES = 16 * 1024 * 1024
"""More than the socket buffers of both sides hold."""


@dataclass
class Server:
    """Answers the nth request of each connection with the nth response; None closes the connection."""

    answers: list[bytes | None]
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0
    stay: bool = True
    """Whether a connection stays open after its last answer."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    _open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._open -= 1

    async def ended(self) -> None:
        """Wait until every connection is closed."""
        await until(lambda: not self._open)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in self.answers:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            await self.gate.wait()
            if answer is None:
                return
            # Two bytes at a time: a response may arrive in any chunks.
            for at in range(0, min(len(answer), 400), 2):
                writer.write(answer[at : at + 2])
                await writer.drain()
            writer.write(answer[400:])
        if self.stay:
            await reader.read()


Opened = Callable[..., Awaitable[tuple[Server, ComfyUIHttpClient]]]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    async with contextlib.AsyncExitStack() as stack:

        async def open_(
            *answers: bytes | None, stay: bool = True, held: bool = False, limits: UpstreamLimits = DEFAULT_LIMITS
        ) -> tuple[Server, ComfyUIHttpClient]:
            server = Server(list(answers), stay=stay)
            if not held:
                server.gate.set()
            listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
            comfy = ComfyUIHttpClient(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", limits)
            await comfy.start()
            stack.callback(listener.close)
            stack.push_async_callback(server.ended)
            stack.push_async_callback(comfy.close)
            stack.callback(server.gate.set)
            return server, comfy

        yield open_


async def got(comfy: ComfyUIHttpClient, request: Request = GET) -> tuple[int, bytes]:
    async with comfy.stream(request) as reply:
        return reply.status, b"".join([chunk async for chunk in reply.chunks])


async def refused(comfy: ComfyUIHttpClient, request: Request = GET) -> Code:
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
async def test_every_response_uses_its_own_connection(opened: Opened, name: str) -> None:
    answer, expected = WHOLE[name]
    server, comfy = await opened(answer, answer)
    assert [await got(comfy), await got(comfy)] == [expected, expected]
    assert server.connections == 2


async def test_a_response_without_length_ends_with_the_connection(opened: Opened) -> None:
    _, comfy = await opened(OK + b"\r\nhello", stay=False)
    assert [await got(comfy), await got(comfy)] == [(200, b"hello")] * 2


async def test_only_the_declared_request_is_sent(opened: Opened) -> None:
    server, comfy = await opened(OK + b"Content-Length: 0\r\n\r\n")
    request = Request("GET", "/view", {"filename": "a b&c.png", "type": "output"}, {"range": "bytes=0-1"})
    assert await got(comfy, request) == (200, b"")
    lines = server.asked[0].decode().split("\r\n")
    assert lines[0] == "GET /view?filename=a+b%26c.png&type=output HTTP/1.1"
    assert {line.partition(":")[0].lower() for line in lines[1:-2]} == {
        "host", "user-agent", "accept", "accept-encoding", "connection", "range",
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
async def test_an_incomplete_response_is_an_error(opened: Opened, name: str) -> None:
    server, comfy = await opened(BROKEN[name], stay=False)
    assert await refused(comfy) is Code.UPSTREAM_ERROR
    assert server.connections <= 2, "an unanswered GET may be repeated once"


async def test_an_abandoned_response_closes_its_connection(opened: Opened) -> None:
    server, comfy = await opened(OK + b"Content-Length: 9000000\r\n\r\n" + b"x" * 9_000_000, OK)
    async with comfy.stream(GET) as reply:
        assert len(await reply.read()) > 0
    async with comfy.stream(GET) as reply:
        assert reply.status == 200
    assert server.connections == 2


async def test_a_cancelled_request_closes_its_connection(opened: Opened) -> None:
    server, comfy = await opened(OK + b"Content-Length: 2\r\n\r\nok", held=True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(got(comfy), 0.1)
    server.gate.set()
    assert await got(comfy) == (200, b"ok")
    assert server.connections == 2


async def test_a_refused_connection_is_upstream_unavailable() -> None:
    comfy = ComfyUIHttpClient("http://127.0.0.1:9")
    await comfy.start()
    assert await refused(comfy) is Code.UPSTREAM_UNAVAILABLE
    await comfy.close()


@pytest.mark.parametrize("begun", [b"", OK, OK + b"Content-Length: 9\r\n\r\nhello"])
async def test_a_silent_upstream_times_out(opened: Opened, begun: bytes) -> None:
    _, comfy = await opened(begun, limits=UpstreamLimits(silence=0.2))
    assert await refused(comfy) is Code.UPSTREAM_TIMEOUT


async def test_concurrent_requests_are_limited(opened: Opened) -> None:
    server, comfy = await opened(OK + b"Content-Length: 2\r\n\r\nok", held=True, limits=UpstreamLimits(connections=3))
    asking = asyncio.gather(*(got(comfy) for _ in range(10)))
    await until(lambda: len(server.asked) == 3)
    await asyncio.sleep(0.05)
    assert len(server.asked) == 3
    server.gate.set()
    assert await asking == [(200, b"ok")] * 10


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


async def test_an_unsolicited_response_is_discarded(opened: Opened) -> None:
    answer = OK + b"Content-Length: 2\r\n\r\n"
    server, comfy = await opened(answer + b"ok" + answer + b"no")
    for _ in range(3):
        with contextlib.suppress(Problem):
            assert await got(comfy) == (200, b"ok")
    assert server.connections == 3


async def test_a_slow_reader_slows_the_sender_instead_of_filling_memory() -> None:
    sent, piece = 0, b"x" * CHUNK_BYTES
    stalled = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 1000000000\r\n\r\n")
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < 1_000_000_000:
                writer.write(piece)
                sent += len(piece)
                await asyncio.wait_for(writer.drain(), 0.5)
        stalled.set()
        writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    comfy = ComfyUIHttpClient(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    await comfy.start()
    async with comfy.stream(GET) as reply:
        assert reply.status == 200
        await stalled.wait()
    assert sent < KERNEL_BYTES
    await comfy.close()
    listener.close()


async def test_a_request_fails_when_the_client_closes(opened: Opened) -> None:
    server, comfy = await opened(OK, held=True)
    asking = asyncio.create_task(refused(comfy))
    await until(lambda: server.asked)
    await comfy.close()
    assert await asking is Code.UPSTREAM_ERROR


async def test_a_post_is_never_sent_twice(opened: Opened) -> None:
    server, comfy = await opened(None)
    assert await refused(comfy, Request("POST", "/prompt", body=b"")) is Code.UPSTREAM_ERROR
    assert (server.connections, len(server.asked)) == (1, 1)
