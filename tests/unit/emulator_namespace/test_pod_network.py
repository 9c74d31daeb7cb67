"""Who reaches whom: out through the machine, in from the machine alone."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.emulator.runtimes import namespace_network as network
from tests.emulator.runtimes.namespace import NamespaceRuntime
from tests.unit.emulator_namespace.pods import (
    finish,
    needs_namespaces,
    own_network,
    spec,
    wait_for_log,
)

pytestmark = needs_namespaces

SERVE = '/usr/bin/python3 -uc \'import socket; s = socket.create_server(("", 8000)); print("up")\nwhile 1: s.accept()\''
_TRY = "timeout {seconds} bash -c 'exec 3<>/dev/tcp/{address}/{port}' && echo reached || echo not reached"
OUTSIDE = "tstoutside"


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[NamespaceRuntime]:
    made = NamespaceRuntime(tmp_path / "state")
    yield made
    await made.adopt({})


@pytest.fixture
def outside() -> Iterator[tuple[str, int]]:
    """A stand-in of the world: another network behind an interface of the machine; its address and a process in it."""
    with own_network() as pid:
        subnet = network.free_subnet([*network.networks_in_use(), IPv4Network("10.213.0.0/24")])
        network.connect(OUTSIDE, subnet, pid)
        yield str(network.pod_side(subnet)), pid
        network.disconnect(OUTSIDE)


@contextmanager
def _inside(pid: int, *command: str) -> Iterator[subprocess.Popen[str]]:
    entered = ["nsenter", f"--net=/proc/{pid}/ns/net", *command]
    with subprocess.Popen(entered, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _machine_addresses() -> list[str]:
    shown = subprocess.run(["ip", "-4", "-json", "addr"], capture_output=True, check=True).stdout
    addresses = [address for link in json.loads(shown) for address in link["addr_info"]]
    return [address["local"] for address in addresses if address["scope"] == "global"]


async def test_a_pod_reaches_the_world_under_the_machines_address(
    runtime: NamespaceRuntime, outside: tuple[str, int]
) -> None:
    address, pid = outside
    program = "import socket; s = socket.create_server(('', 8000)); print('up'); print(s.accept()[1][0])"
    with _inside(pid, "/usr/bin/python3", "-uc", program) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"
        await runtime.start(spec("pod1", _TRY.format(seconds=60, address=address, port=8000)))
        await finish(runtime, "pod1")
        assert runtime.log_path("pod1").read_text(encoding="utf-8") == "reached\n"
        # The machine's end of the link to that world, and not the pod's address.
        assert server.stdout.readline() == f"{network.machine_side(IPv4Network(f'{address}/30', strict=False))}\n"


async def test_the_world_does_not_reach_a_pod(runtime: NamespaceRuntime, outside: tuple[str, int]) -> None:
    await runtime.start(spec("pod1", SERVE))
    await wait_for_log(runtime, "pod1", "up")
    host, port = runtime.address("pod1", 8000)
    with _inside(outside[1], "bash", "-c", _TRY.format(seconds=1, address=host, port=port)) as client:
        assert client.communicate(timeout=60)[0] == "not reached\n"
    socket.create_connection((host, port), timeout=60).close()


async def test_pods_do_not_reach_each_other(runtime: NamespaceRuntime) -> None:
    await runtime.start(spec("pod1", SERVE))
    await wait_for_log(runtime, "pod1", "up")
    address, port = runtime.address("pod1", 8000)
    await runtime.start(spec("pod2", _TRY.format(seconds=1, address=address, port=port)))
    await finish(runtime, "pod2")
    assert "not reached" in runtime.log_path("pod2").read_text(encoding="utf-8")


async def test_a_pod_does_not_reach_the_machines_services(runtime: NamespaceRuntime) -> None:
    own = _machine_addresses()
    with socket.create_server(("", 0)) as service:
        port = service.getsockname()[1]
        gateway = "$(ip route | sed 's/.*via //;s/ .*//;q')"
        tries = "; ".join(_TRY.format(seconds=1, address=address, port=port) for address in [gateway, *own])
        await runtime.start(spec("pod1", tries))
        await finish(runtime, "pod1")
    said = runtime.log_path("pod1").read_text(encoding="utf-8").splitlines()
    assert said.count("not reached") == len(own) + 1
    assert "reached" not in said
