"""A machine of its own (a network namespace) looks after the last pod exactly as before the first one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.emulator_namespace.pods import needs_namespaces

pytestmark = [
    *needs_namespaces,
    pytest.mark.skipif(shutil.which("iptables") is None, reason="no iptables: install iptables"),
]

# A machine as container engines leave it: what is forwarded is dropped unless a rule accepts it.
MACHINE = """set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add up0 type veth peer name world
ip addr add 198.18.0.2/24 dev up0
ip link set up0 up
ip link set world up
ip route add default via 198.18.0.1
iptables -P FORWARD DROP
exec "$@"
"""

PROGRAM = """
import asyncio, subprocess, sys
from pathlib import Path
from tests.emulator.runtimes.namespace import NamespaceRuntime
from tests.emulator.runtimes.namespace_machine import RECORD
from tests.unit.emulator_namespace.pods import spec

def seen():
    commands = ("nft list ruleset", "iptables -S", "ip -o link", "ip -4 route show table all")
    said = [subprocess.run(text.split(), capture_output=True, text=True, check=True).stdout for text in commands]
    settings = sorted(Path("/proc/sys/net/ipv4/conf").glob("*/forwarding"))
    said += [f"{path} {path.read_text()}" for path in (*settings, Path("/proc/sys/net/ipv4/ip_forward"))]
    return "".join(said)

async def main():
    runtime = NamespaceRuntime(Path(sys.argv[1]))
    before = seen()
    try:
        await runtime.start(spec("pod1", "sleep infinity"))
        during = seen()
        assert RECORD.exists()
        assert "up0/forwarding 1" in during and "lo/forwarding 0" in during, during
        assert during.count("comfyui-runpod-emulator") == 2, during
        if sys.argv[2] == "removed":
            await runtime.remove("pod1")
    finally:
        await NamespaceRuntime(Path(sys.argv[1])).adopt({})
    assert seen() == before, seen()
    assert not RECORD.parent.exists()

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["removed", "killed"])
def test_the_machine_is_put_back(tmp_path: Path, end: str) -> None:
    checkout = Path(__file__).resolve().parents[3]
    machine = ["unshare", "--net", "--mount", "sh", "-c", MACHINE, "machine"]
    program = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "state"), end]
    done = subprocess.run([*machine, *program], cwd=checkout, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
