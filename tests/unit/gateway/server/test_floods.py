"""Slow and flooding clients: their cost is bounded, and other clients are served."""

from __future__ import annotations

import asyncio
import json
import os
import socket as wire_socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from provisioning.gateway.server.nginx_config import ClientLimits
from provisioning.gateway.server.websocket_limit import MAX_BYTES, MAX_PARTS
from tests.unit.gateway.conftest import NGINX_BUILDS, Gate, until
from tests.unit.gateway.raw.connections import read, request, status, talk
from tests.unit.gateway.raw.sockets import ASKED, NONCE, VERSION

TEXT, BINARY, CLOSE, PING, PONG, MORE = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
POLICY, TOO_BIG, WRONG, BAD_TEXT = 1008, 1009, 1002, 1007
RESET = 0
OPEN = "GET /livez HTTP/1.1\r\nHost: gateway.test\r\n"
LOGIN = ("Host: gateway.test", "Origin: http://gateway.test", "Transfer-Encoding: chunked")


@pytest.fixture(params=NGINX_BUILDS)
def nginx(request: pytest.FixtureRequest) -> Path:
    build: Path = request.param
    return build


def frame(
    opcode: int, data: bytes = b"", *, fin: bool = True, masked: bool = True, claimed: int | None = None
) -> bytes:
    """Return a client's frame, optionally with a false length."""
    length = len(data) if claimed is None else claimed
    short = length if length < 126 else 126 if length < 65536 else 127
    head = struct.pack("!BB", opcode | (0x80 if fin else 0), short | (0x80 if masked else 0))
    head += b"" if short < 126 else struct.pack("!H" if short == 126 else "!Q", length)
    return head + (b"\0\0\0\0" if masked else b"") + data


@asynccontextmanager
async def socket(port: int, key: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a WebSocket in raw bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    shake = ("GET /ws HTTP/1.1", "Host: gateway.test", f"X-API-Key: {key}", *ASKED, NONCE, VERSION, "", "")
    writer.write("\r\n".join(shake).encode())
    async with asyncio.timeout(60):
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.close()


async def closing(reader: asyncio.StreamReader) -> int:
    """Return the gateway's close code, skipping other frames; RESET for a reset connection."""
    try:
        async with asyncio.timeout(60):
            return await _close_code(reader)
    except (ConnectionError, asyncio.IncompleteReadError):
        return RESET


async def _close_code(reader: asyncio.StreamReader) -> int:
    while True:
        first, short = await reader.readexactly(2)
        size = short & 0x7F
        if size > 125:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
        data = await reader.readexactly(size)
        if first & 0xF == CLOSE:
            return int.from_bytes(data[:2])


FLOODS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "pings": (lambda _: frame(PING, os.urandom(125)), POLICY),
    "pongs nobody asked for": (lambda _: frame(PONG), POLICY),
    "a message in parts without end": (lambda number: frame(TEXT if number == 0 else MORE, fin=False), POLICY),
    "messages": (lambda _: frame(TEXT, b"{}"), POLICY),
    "pings between messages": (lambda number: frame(PING if number % 100 else TEXT), POLICY),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_of_frames_is_disconnected(gate: Gate, port: int, name: str) -> None:
    make, code = FLOODS[name]
    async with socket(port, gate.keyring.alice) as (reader, writer):
        begin, more = (b"".join(make(number) for number in range(at, at + 1000)) for at in (0, 1000))
        writer.write(begin + more * (2 * MAX_BYTES // len(more)))
        # Unread data resets the connection, which may overtake the close frame.
        assert await closing(reader) in {code, RESET}
    assert (await gate.alice.get("/queue")).status_code == 200


async def test_a_message_of_many_empty_fragments_is_disconnected(gate: Gate, port: int) -> None:
    async with socket(port, gate.keyring.alice) as (reader, writer):
        parts = b"".join(frame(MORE, fin=False) for _ in range(MAX_PARTS + 1))
        assert len(parts) < MAX_BYTES
        writer.write(frame(TEXT, fin=False) + parts)
        assert await closing(reader) == RESET


async def test_a_normal_number_of_frames_is_accepted(gate: Gate, port: int) -> None:
    async with socket(port, gate.keyring.alice) as (reader, writer):
        for _ in range(100):
            writer.write(frame(PING, b"abc"))
        writer.write(frame(CLOSE, struct.pack("!H", 1000)))
        assert await closing(reader) == 1000


GARBAGE: dict[str, tuple[bytes, int]] = {
    "one byte too many": (frame(TEXT, b"x" * (64 * 1024 + 1)), TOO_BIG),
    "a gigabyte announced": (frame(BINARY, b"", claimed=1 << 30), TOO_BIG),
    "all there can be": (frame(BINARY, b"", claimed=(1 << 63) - 1), TOO_BIG),
    "too much in parts": (frame(TEXT, b"x" * 40_000, fin=False) + frame(MORE, b"x" * 40_000), TOO_BIG),
    "no mask": (frame(TEXT, b"{}", masked=False), WRONG),
    "an unknown opcode": (frame(0x5, b"{}"), WRONG),
    "a reserved bit": (bytes([0x81 | 0x40, 0x80, 0, 0, 0, 0]), WRONG),
    "a part of nothing": (frame(MORE, b"x"), WRONG),
    "a message inside a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), WRONG),
    "a long ping": (frame(PING, b"x" * 126), WRONG),
    "a ping in parts": (frame(PING, b"x", fin=False), WRONG),
    "a close of one byte": (frame(CLOSE, b"x"), WRONG),
    "text that is none": (frame(TEXT, b"\xff\xfe"), BAD_TEXT),
    "HTTP": (b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", WRONG),
}


async def test_invalid_frames_close_only_their_socket(gate: Gate, port: int) -> None:
    for name, (data, code) in GARBAGE.items():
        async with socket(port, gate.keyring.alice) as (reader, writer):
            writer.write(data)
            assert await closing(reader) in {code, RESET}, name
    assert (await gate.alice.get("/queue")).status_code == 200


async def test_garbage_before_the_handshake_is_harmless(gate: Gate, port: int) -> None:
    for data in (*(data for data, _ in GARBAGE.values()), frame(PING) * 2000, frame(CLOSE), os.urandom(5000)):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        shake = ("GET /ws HTTP/1.1", "Host: gateway.test", "X-API-Key: x", *ASKED, NONCE, VERSION, "", "")
        writer.write("\r\n".join(shake).encode())
        await asyncio.sleep(0)
        writer.write(data)
        async with asyncio.timeout(60):
            assert await read(reader)
        writer.close()
    assert (await gate.alice.get("/queue")).status_code == 200


@pytest.mark.parametrize(
    "lines",
    [
        (NONCE, "Sec-WebSocket-Version: 8"),
        (NONCE,),
        (VERSION,),
        (VERSION, "Sec-WebSocket-Key: short"),
        (VERSION, NONCE, NONCE),
    ],
)
async def test_an_invalid_handshake_is_refused(gate: Gate, port: int, lines: tuple[str, ...]) -> None:
    sent = ("GET /ws HTTP/1.1", "Host: gateway.test", f"X-API-Key: {gate.keyring.alice}", *ASKED, *lines, "", "")
    assert status(await talk(port, "\r\n".join(sent).encode())) in {400, 426}


@pytest.mark.parametrize("more", ["Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"])
@pytest.mark.parametrize("limits", [ClientLimits(linger_seconds=0.5)])
async def test_an_unread_body_does_not_block_the_connection(gate: Gate, port: int, more: str) -> None:
    """Without a key: each byte of such a body would extend the timeout of an idle connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write((OPEN + more).encode())
    async with asyncio.timeout(60):
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"1")
        while await read(reader):
            pass
    writer.close()


async def test_a_complete_body_keeps_the_connection_open(gate: Gate, port: int) -> None:
    first = f"{OPEN}Content-Length: 2\r\n\r\n{{}}".encode()
    assert (await talk(port, first + request("/livez", "Host: gateway.test"))).count(b"HTTP/1.1 200") == 2


ENDLESS = {
    "what stands behind the chunks": ("0\r\n" + "X: ", b"a" * 4096),
    "many of them": ("0\r\n", b"X: a\r\n" * 500),
    "what stands beside a chunk": ("1;", b"a" * 4096),
    "chunks of one byte": ("", b"1\r\na\r\n" * 500),
    "noughts before a size": ("", b"0" * 4096),
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("overrides", [{"idle_seconds": 1.0}])
async def test_endless_framing_of_a_body_is_refused(gate: Gate, port: int, name: str) -> None:
    """Without a key: the gateway does not see such bytes, since nginx discards them."""
    begin, piece = ENDLESS[name]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("/api/gateway/login", *LOGIN, method="POST") + begin.encode())
    sending = asyncio.create_task(send_for_ever(writer, piece))
    async with asyncio.timeout(60):
        answer = await read(reader)
        # A client that goes on sending can lose the answer when its connection is reset.
        assert not answer or status(answer) in {400, 408, 413, 431}
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    writer.close()


async def send_for_ever(writer: asyncio.StreamWriter, piece: bytes) -> None:
    while True:
        writer.write(piece)
        await writer.drain()


async def test_many_chunks_of_normal_size_are_accepted(gate: Gate, port: int) -> None:
    graph = json.dumps({"prompt": {"1": {"class_type": "X", "inputs": {"text": "x" * 400_000}}}})
    pieces = [graph[at : at + 100] for at in range(0, len(graph), 100)]
    body = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in pieces) + "0\r\n\r\n"
    head = ("Host: gateway.test", f"X-API-Key: {gate.keyring.alice}", "Transfer-Encoding: chunked")
    assert status(await talk(port, request("/prompt", *head, method="POST", body=body))) == 200


@pytest.mark.parametrize("limits", [ClientLimits(connections=100)])
async def test_held_connections_do_not_block_other_clients(gate: Gate, port: int) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    for _, writer in held[::2]:
        writer.write(f"{OPEN}\r\n".encode())
    for _ in range(5):
        assert status(await talk(port, request("/livez", "Host: gateway.test"))) == 200
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize("limits", [ClientLimits(connections=100)])
async def test_many_idle_connections_do_not_close_active_ones(gate: Gate, port: int) -> None:
    gate.comfy.hang = True
    head = request("/models", "Host: gateway.test", f"X-API-Key: {gate.keyring.alice}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    await until(lambda: gate.comfy.asked("GET", "/models"))
    async with socket(port, gate.keyring.bob) as (heard, _):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
        await until(lambda: sum(each.at_eof() for each, _ in idle) > 100)
        assert not reader.at_eof()
        assert not heard.at_eof()
    for _, each in [*idle, (reader, writer)]:
        each.close()


@pytest.mark.parametrize("limits", [ClientLimits(requests_per_address=1)])
async def test_too_many_requests_of_an_address_get_retry_after(gate: Gate, port: int) -> None:
    async with socket(port, gate.keyring.bob):
        head, _, body = (await talk(port, request("/livez", "Host: gateway.test"))).partition(b"\r\n\r\n")
    assert (status(head), json.loads(body)["code"]) == (503, "not_ready")
    assert b"retry-after: 2" in head.lower()


@pytest.mark.slow
@pytest.mark.parametrize("limits", [ClientLimits(head_seconds=1.0)])
async def test_half_open_connections_are_closed_and_do_not_affect_others(gate: Gate, port: int) -> None:
    pairs = []
    for number in range(200):
        pairs.append(await asyncio.open_connection("127.0.0.1", port))
        # At once, since a later write to a closed connection would reset it.
        pairs[-1][1].write(OPEN.encode()[: number % 40])
    assert status(await talk(port, request("/livez", "Host: gateway.test"))) == 200
    async with asyncio.timeout(60):
        answers = [await read(reader) for reader, _ in pairs]
    assert {status(answer) for answer in answers} <= {0, 408}
    for _, writer in pairs:
        writer.close()


@pytest.mark.parametrize("limits", [ClientLimits(head_seconds=0.5)])
async def test_a_slowly_sent_header_times_out(gate: Gate, port: int) -> None:
    """The timeout is for the whole header: single bytes do not extend it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert status(await dribbled(reader, writer, b"X")) in {0, 400, 408}
    writer.close()


@pytest.mark.parametrize("overrides", [{"deadline_seconds": 0.5}])
async def test_a_slowly_sent_body_times_out(gate: Gate, port: int) -> None:
    head = ("Host: gateway.test", f"X-API-Key: {gate.keyring.alice}", "Content-Length: 1000")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("/queue", *head, method="POST"))
    assert status(await dribbled(reader, writer, b" ")) == 504
    writer.close()


async def dribbled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, byte: bytes) -> bytes:
    """Send single bytes until a response comes, and return it."""
    async with asyncio.timeout(60):
        while True:
            writer.write(byte)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    return await read(reader)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [{"max_requests_per_owner": 1, "idle_seconds": 10.0}])
async def test_an_unread_long_response_is_disconnected(gate: Gate, port: int) -> None:
    """Otherwise a client that does not read could make the gateway hold any number of responses."""
    gate.comfy.nonsense = {
        "/object_info": ("application/json", b'{"A": {"description": "' + b"x" * 40_000_000 + b'"}}')
    }
    with wire_socket.socket() as deaf:
        deaf.setsockopt(wire_socket.SOL_SOCKET, wire_socket.SO_RCVBUF, 65536)
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", port))
        key = f"X-API-Key: {gate.keyring.alice}"
        await asyncio.get_running_loop().sock_sendall(deaf, request("/object_info", "Host: gateway.test", key))
        async with asyncio.timeout(60):
            assert b" 200 " in await asyncio.get_running_loop().sock_recv(deaf, 100)
        assert (await gate.alice.get("/queue")).status_code == 429
        await until(lambda: settled(gate))
    assert (await gate.bob.get("/queue")).status_code == 200


async def settled(gate: Gate) -> bool:
    return (await gate.alice.get("/queue")).status_code == 200
