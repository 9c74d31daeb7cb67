"""nginx and the gateway stop together."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from provisioning.gateway.server import nginx
from provisioning.gateway.server.nginx_config import SOCKET, Address, ClientLimits, render
from provisioning.gateway.server.socket_folder import PREFIX, socket_folder
from tests.emulator.public_ports import kept_port
from tests.unit.gateway.conftest import until
from tests.unit.gateway.fake import FakeComfyUI
from tests.unit.gateway.gateway_process import prepare, serving

REST = b" /prompt HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""The rest of a request after its method."""


def is_refused(port: int) -> bool:
    """Return whether no process listens on a port."""
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=60):
        return False
    return True


async def test_the_gateway_stops_when_nginx_stops() -> None:
    address, ended = Address("127.0.0.1", kept_port()), threading.Event()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = render(address, folder, ClientLimits())
        with nginx.running(nginx.binary(), config, folder, ended.set) as process:
            await until(lambda: not is_refused(address.port))
            assert not ended.is_set()
            process.terminate()
            await until(ended.is_set)


async def test_stopping_nginx_is_not_reported_as_a_failure() -> None:
    address, ended = Address("127.0.0.1", kept_port()), threading.Event()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nginx.running(nginx.binary(), render(address, folder, ClientLimits()), folder, ended.set) as process:
            await until(lambda: not is_refused(address.port))
        assert process.returncode == 0
    assert is_refused(address.port)
    assert not ended.is_set()


async def test_nginx_does_not_outlive_a_killed_gateway(comfy: tuple[FakeComfyUI, str], tmp_path: Path) -> None:
    setup = prepare(tmp_path, comfy[1])
    async with serving(setup) as gateway:
        gateway.send_signal(signal.SIGKILL)
        async with asyncio.timeout(60):
            await gateway.wait()
        await until(lambda: is_refused(setup.port))


async def test_without_a_gateway_clients_get_retry_after() -> None:
    address = Address("127.0.0.1", kept_port())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nginx.running(nginx.binary(), render(address, folder, ClientLimits()), folder, lambda: None):
            await until(lambda: not is_refused(address.port))
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"GET /queue HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(60):
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"content-type: application/problem+json" in head.lower()
    assert b"retry-after: 2" in head.lower()
    assert b'"code": "not_ready"' in body


async def _asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(("method", "status"), [("POST", b"502"), ("GET", b"503")])
async def test_a_lost_change_has_no_retry_after(method: str, status: bytes) -> None:
    address = Address("127.0.0.1", kept_port())

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept a request and close the connection without a response, like a killed gateway."""
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with await asyncio.start_unix_server(die, folder / SOCKET):
            with nginx.running(nginx.binary(), render(address, folder, ClientLimits()), folder, lambda: None):
                await until(lambda: not is_refused(address.port))
                answer = await _asked(address.port, method.encode() + REST)
    assert answer.startswith(b"HTTP/1.1 %s " % status)
    assert (b"retry-after" in answer.lower()) == (status == b"503")


async def test_a_change_that_did_not_reach_the_gateway_has_retry_after() -> None:
    address = Address("127.0.0.1", kept_port())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nginx.running(nginx.binary(), render(address, folder, ClientLimits()), folder, lambda: None):
            await until(lambda: not is_refused(address.port))
            answer = await _asked(address.port, b"POST" + REST)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 2" in answer.lower()


async def test_a_killed_nginx_master_leaves_no_worker() -> None:
    address, ended = Address("127.0.0.1", kept_port()), threading.Event()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nginx.running(nginx.binary(), render(address, folder, ClientLimits()), folder, ended.set) as process:
            await until(lambda: not is_refused(address.port))
            process.kill()
            await until(ended.is_set)
            await until(lambda: is_refused(address.port))


def test_the_socket_folder_is_private_and_deleted(tmp_path: Path) -> None:
    with socket_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / SOCKET).touch()
    assert not folder.exists()


def test_socket_folders_of_killed_gateways_are_deleted(tmp_path: Path) -> None:
    left, young = (Path(tempfile.mkdtemp(prefix=PREFIX, dir=tmp_path)) for _ in range(2))
    with socket_folder(tmp_path) as in_use:
        for folder in (left, in_use):
            os.utime(folder, (0, 0))
        with socket_folder(tmp_path):
            assert [folder.exists() for folder in (left, young, in_use)] == [False, True, True]
