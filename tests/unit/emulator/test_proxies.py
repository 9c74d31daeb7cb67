"""The public ports of pods: RunPod's HTTP proxy and plain TCP."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from tests.emulator.http_proxy import HttpProxy
from tests.emulator.public_ports import kept_port
from tests.emulator.tcp_proxy import TcpProxy
from tests.unit.emulator.harness import Api

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def proxied(handler: Handler, answer_seconds: float = 10) -> AsyncIterator[str]:
    """Serve a handler behind the HTTP proxy; gives the public address."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    inner, public = kept_port(), kept_port()
    await web.TCPSite(runner, "127.0.0.1", inner).start()
    proxy = HttpProxy(lambda: ("127.0.0.1", inner), answer_seconds)
    await proxy.start(public)
    try:
        yield f"http://127.0.0.1:{public}"
    finally:
        await proxy.stop()
        await runner.cleanup()


async def test_a_request_reaches_the_pod_as_it_was_sent() -> None:
    async def echo(request: web.Request) -> web.Response:
        seen = {name: request.headers.get(name) for name in ("X-Forwarded-For", "X-Own", "Host")}
        return web.json_response({"path": request.path_qs, "size": len(await request.read()), "headers": seen})

    big = b"x" * 3_000_000
    async with proxied(echo) as url, aiohttp.ClientSession() as session:
        for _ in range(2):
            headers = {"X-Own": "1", "X-Forwarded-For": "9.9.9.9"}
            async with session.post(f"{url}/a?b=c", data=io.BytesIO(big), headers=headers) as response:
                answer = await response.json()
        assert answer["path"] == "/a?b=c"
        assert answer["size"] == len(big)
        assert answer["headers"] == {"X-Forwarded-For": "127.0.0.1", "X-Own": "1", "Host": url.removeprefix("http://")}


async def test_an_answer_streams() -> None:
    release = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await release.wait()
        await response.write(b"last")
        return response

    async with proxied(stream) as url, aiohttp.ClientSession() as session, session.get(url) as response:
        assert await response.content.readexactly(5) == b"first"
        release.set()
        assert await response.content.read() == b"last"


async def test_a_websocket_passes_and_so_does_its_refusal() -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        if "key" not in request.query:
            return web.json_response({"detail": "no key"}, status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(b"\0" + message.data.encode())
            await socket.close(code=4001)
        return socket

    async with proxied(serve) as url, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/ws?key=1") as socket:
            await socket.send_str("hello")
            assert await socket.receive_bytes() == b"\0hello"
            await socket.receive()
            assert socket.close_code == 4001
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/ws")
        assert refused.value.status == 401


async def test_no_answer_in_time_is_524() -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with proxied(hang, 0.05) as url, aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 524
        assert "did not answer" in (await response.json(content_type=None))["detail"]


async def test_nothing_behind_the_port_is_502_and_a_closed_tcp_port_is_closed(api: Api) -> None:
    pod = await api.make_running(ports=["8189/http", "22/tcp"])
    ports = {port["private"]: port["public"] for port in pod["runtime"]["ports"]}
    for answer in (502, None):
        api.runtime.addresses = {} if answer is None else {(pod["id"], 8189): ("127.0.0.1", kept_port())}
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{ports[8189]}/") as response:
            assert response.status == 502
    reader, writer = await asyncio.open_connection("127.0.0.1", ports[22])
    assert await reader.read() == b""
    writer.close()
    await api.act(pod["id"], "stop")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", ports[22])
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{ports[8189]}/") as response:
        assert response.status == 502


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH")
    await writer.drain()
    writer.close()


async def test_ssh_refused_on_request_ends_connections_before_a_byte(api: Api) -> None:
    pod = await api.make_running(ports=["22/tcp"])
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    api.runtime.addresses = {(pod["id"], 22): server.sockets[0].getsockname()}
    said = []
    for pattern in ("", pod["name"]):
        await api.control("conditions", {"ssh_refused": pattern})
        reader, writer = await asyncio.open_connection("127.0.0.1", pod["runtime"]["ports"][0]["public"])
        said.append(await reader.read(3))
        writer.close()
    server.close()
    assert said == [b"SSH", b""]


async def test_tcp_passes_both_ways_and_knows_the_half_closed() -> None:
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        await writer.drain()
        writer.close()

    inner, public = kept_port(), kept_port()
    server = await asyncio.start_server(upper, "127.0.0.1", inner)
    proxy = TcpProxy(lambda: ("127.0.0.1", inner))
    await proxy.start(public)
    reader, writer = await asyncio.open_connection("127.0.0.1", public)
    writer.write(b"shout")
    writer.write_eof()
    assert await reader.read() == b"SHOUT"
    writer.close()
    await proxy.stop()
    server.close()
