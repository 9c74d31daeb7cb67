"""Raw requests over a real socket, without a client library."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from provisioning.contract.gateway_options import MEBIBYTE
from provisioning.gateway.server.nginx_config import ClientLimits
from tests.unit.gateway.conftest import NGINX_BUILDS, Gate
from tests.unit.gateway.raw.connections import read, request, status, talk


@pytest.fixture(params=NGINX_BUILDS)
def nginx(request: pytest.FixtureRequest) -> Path:
    build: Path = request.param
    return build


async def test_invalid_request_heads_are_refused(gate: Gate, port: int) -> None:
    host, key = "Host: gateway.test", f"X-API-Key: {gate.keyring.admin}"
    length, chunked = "Content-Length: 2", "Transfer-Encoding: chunked"
    cases = {
        "absolute target": request("http://gateway.test/queue", host, key),
        "absolute target to a public route": request("http://evil.test/livez", host),
        "authority target": request("gateway.test:443", host, key, method="CONNECT"),
        "asterisk target": request("*", host, key, method="OPTIONS"),
        "no host": request("/queue", key),
        "two hosts": request("/queue", host, "Host: evil.test", key),
        "host with a line break": request("/queue", "Host: gateway.test\r\n x", key),
        "length and chunked": request("/queue", host, key, length, chunked, method="POST", body="{}"),
        "two lengths": request("/queue", host, key, length, "Content-Length: 3", method="POST", body="{}"),
        "negative length": request("/queue", host, key, "Content-Length: -1", method="POST"),
        "length with a sign": request("/queue", host, key, "Content-Length: +2", method="POST", body="{}"),
        "chunked twice": request("/queue", host, key, chunked, chunked, method="POST", body="0\r\n\r\n"),
        "space before the colon": request("/queue", host, f"X-API-Key : {gate.keyring.admin}"),
        "null in a header": request("/queue", host, key, "X: a\0b"),
        "an unknown version": b"GET /queue HTTP/9.9\r\nHost: gateway.test\r\n\r\n",
        "nonsense": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "no path": b"GET  HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    }
    for name, data in cases.items():
        answer = await talk(port, data)
        assert status(answer) in {400, 401, 405, 501, 505, 0}, (name, answer[:200])
        assert answer.count(b"HTTP/1.1 ") <= 1, name
    assert gate.comfy.seen == []


async def test_the_size_of_headers_is_limited(gate: Gate, port: int) -> None:
    endless = b"GET /livez HTTP/1.1\r\nHost: gateway.test\r\n" + b"X: " + b"a" * 200_000
    assert status(await talk(port, endless)) in {400, 431}
    many = b"".join(b"X-%d: a\r\n" % number for number in range(20_000))
    assert status(await talk(port, b"GET /livez HTTP/1.1\r\nHost: a.test\r\n" + many + b"\r\n")) in {400, 431}
    assert status(await talk(port, request("/livez", "Host: a.test"))) == 200


@pytest.mark.parametrize("limits", [ClientLimits(head_seconds=0.2)])
@pytest.mark.parametrize("begun", [b"", b"GET /livez HTTP/1.1\r\nHost: ga"])
async def test_a_slow_header_times_out(gate: Gate, port: int, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    async with asyncio.timeout(30):
        assert await read(reader) == b""
    writer.close()


@pytest.mark.parametrize("overrides", [{"idle_seconds": 0.05}])
async def test_a_slow_body_times_out(gate: Gate, port: int) -> None:
    head = request(
        "/queue", "Host: gateway.test", f"X-API-Key: {gate.keyring.alice}", "Content-Length: 10", method="POST"
    )
    assert status(await talk(port, head)) == 408


async def test_requests_on_one_connection_are_separate(gate: Gate, port: int) -> None:
    first = f"GET /queue HTTP/1.1\r\nHost: gateway.test\r\nX-API-Key: {gate.keyring.alice}\r\n\r\n".encode()
    answers = await talk(port, first + request("/queue", "Host: gateway.test"))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200", b"401"]


async def test_bytes_after_a_body_are_not_headers(gate: Gate, port: int) -> None:
    chunks = f"2\r\n{{}}\r\n0\r\nX-API-Key: {gate.keyring.alice}\r\n\r\n"
    sent = request("/queue", "Host: gateway.test", "Transfer-Encoding: chunked", method="POST", body=chunks)
    assert status(await talk(port, sent)) == 401


@pytest.mark.parametrize("coding", ["identity\r\nTransfer-Encoding: chunked", "gzip, chunked", "chunked, chunked"])
async def test_a_body_has_exactly_one_encoding(gate: Gate, port: int, coding: str) -> None:
    """Parsers could disagree about the end of such a request."""
    head = ("Host: gateway.test", f"X-API-Key: {gate.keyring.alice}", f"Transfer-Encoding: {coding}")
    sent = request("/queue", *head, method="POST", body="2\r\n{}\r\n0\r\n\r\n")
    assert status(await talk(port, sent)) in {400, 501}


async def test_chunked_encoding_requires_http_1_1(gate: Gate, port: int) -> None:
    head = ("Host: gateway.test", f"X-API-Key: {gate.keyring.alice}", "Transfer-Encoding: chunked")
    sent = request("/queue", *head, method="POST", body="2\r\n{}\r\n0\r\n\r\n")
    assert status(await talk(port, sent.replace(b"HTTP/1.1", b"HTTP/1.0"))) == 400
    assert status(await talk(port, sent)) == 200


async def test_loopback_host_names_require_a_loopback_peer(gate: Gate, port: int) -> None:
    key = f"X-API-Key: {gate.keyring.alice}"
    assert status(await talk(port, request("/queue", f"Host: 127.0.0.1:{port}", key))) == 200
    assert status(await talk(port, request("/queue", "Host: rebound.test", key))) == 421


async def test_a_websocket_requires_a_known_host(gate: Gate, port: int) -> None:
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    key = f"X-API-Key: {gate.keyring.alice}"
    for host, expected in (("evil.test", 421), ("gateway.test", 101)):
        handshake = request("/ws", f"Host: {host}", key, *upgrade).replace(b": close", b": upgrade")
        assert status(await talk(port, handshake)) == expected


async def test_a_websocket_path_without_upgrade_is_refused(gate: Gate, port: int) -> None:
    key = f"X-API-Key: {gate.keyring.alice}"
    assert status(await talk(port, request("/ws", "Host: gateway.test", key))) == 426
    assert status(await talk(port, request("/ws", "Host: gateway.test"))) == 401


@pytest.mark.parametrize("overrides", [{"submits_per_minute": 1, "max_body_bytes": 4 * MEBIBYTE}])
@pytest.mark.parametrize("size", [100, 3 * MEBIBYTE])
async def test_a_refusal_reaches_a_client_that_is_still_sending(gate: Gate, port: int, size: int) -> None:
    """If the connection were closed at once, it would be reset and the response lost."""
    head = f"POST /prompt HTTP/1.1\r\nHost: gateway.test\r\nX-API-Key: {gate.keyring.alice}\r\n"
    for expected in (422, 429):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}Content-Length: {size}\r\n\r\n".encode())
        await writer.drain()
        if expected == 429:
            assert status(await reader.readline()) == 429, "before the body"
        writer.write(b'{"prompt":1}'.ljust(size))
        async with asyncio.timeout(60):
            await writer.drain()
            answer = await reader.readuntil(b"}")
        assert (status(answer) == 422) if expected == 422 else b"rate_limited" in answer
        writer.close()


@pytest.mark.parametrize("overrides", [{"submits_per_minute": 1}])
@pytest.mark.parametrize("limits", [ClientLimits(linger_seconds=1.0)])
async def test_reading_after_a_refusal_is_limited(gate: Gate, port: int) -> None:
    head = f"POST /prompt HTTP/1.1\r\nHost: gateway.test\r\nX-API-Key: {gate.keyring.alice}\r\n"
    await talk(port, f"{head}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    assert status(await reader.readline()) == 429
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(_send_for_ever(writer), 60)
    writer.close()


async def _send_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        await writer.drain()


ODD = {
    "an upgrade to HTTP/2": ("GET", "/queue", ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), ""),
    "a length of nothing": ("GET", "/queue", ("Content-Length: 0",), ""),
    "a body that is announced": ("POST", "/queue", ("Expect: 100-continue", "Content-Length: 2"), "{}"),
    "a long query": ("GET", f"/queue?q={'x' * 50_000}", (), ""),
    "a client id in the query": ("GET", "/queue?clientId=%7B%22a%22%3A1%7D&x=a+b", (), ""),
    "two slashes in the query": ("GET", "/queue?path=//a/../b", (), ""),
    "cookies": ("GET", "/queue", ("Cookie: a=b", "Cookie: c=d"), ""),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_unusual_requests_of_comfyui_clients_work(gate: Gate, port: int, name: str, version: str) -> None:
    method, target, lines, body = ODD[name]
    key = f"X-API-Key: {gate.keyring.alice}"
    sent = request(target, "Host: gateway.test", key, *lines, method=method, body=body)
    answer = await talk(port, sent.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
    assert status(answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")) == 200, answer[:500]


async def test_a_client_cannot_forge_its_address(gate: Gate, port: int) -> None:
    """Loopback host names are accepted only from loopback peers, whose address nginx sets."""
    key = f"X-API-Key: {gate.keyring.alice}"
    for claimed, expected in (("X-Forwarded-For: 10.0.0.1", 200), ("X-Forwarded-For: 10.0.0.1, 127.0.0.1", 200)):
        sent = request("/queue", f"Host: 127.0.0.1:{port}", key, claimed, "X-Forwarded-Proto: https")
        assert status(await talk(port, sent)) == expected


async def test_paths_are_forwarded_unchanged(gate: Gate, port: int) -> None:
    """The gateway, not nginx, refuses ambiguous paths."""
    key = f"X-API-Key: {gate.keyring.alice}"
    for path, expected in (("//queue", 400), ("/%71ueue", 200), ("/x/../queue", 400), ("/queue%2f", 400)):
        assert status(await talk(port, request(path, "Host: gateway.test", key))) == expected, path
