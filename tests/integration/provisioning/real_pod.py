"""A pod of the namespace runtime with our boot script as its first process, installed over SSH as `up` does it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncssh

from provisioning import contract
from provisioning.contract import ProvisionPlan, PushRequest, SshTarget
from provisioning.ssh.console import Console
from provisioning.ssh.pusher import Pusher, PushTimeouts
from provisioning.ssh.session import connect
from tests.emulator.runtimes import ContainerSpec
from tests.emulator.runtimes import namespace_record as records
from tests.emulator.runtimes.namespace import NamespaceRuntime
from tests.emulator.runtimes.volume_behaviour import Behaviour
from tests.integration.provisioning.conftest import MIRRORS, SECRETS, VOLUME_KEY, Quiet

FILES_PORT = 8640
"""Where a pod finds the stand-in's repositories and models, on its own loopback."""


@dataclass
class RealPod:
    """One pod; `stop` and `start` give it another container disk, the volume stays."""

    runtime: NamespaceRuntime
    state: Path
    volume: Path
    files: Path
    """What is served to it inside."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    """How the volume behaves: by default as RunPod's do, with modes ignored."""
    volume_key: str = VOLUME_KEY
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._host = asyncssh.generate_private_key("ssh-ed25519")
        self._login = asyncssh.generate_private_key("ssh-ed25519")
        self._servers: list[ThreadingHTTPServer] = []

    @property
    def target(self) -> SshTarget:
        """How our client logs in."""
        host, port = self.runtime.address("pod1", contract.SSH_PORT)
        return SshTarget(host, port, self._host.export_public_key().decode(), self._login.export_private_key().decode())

    async def start(self) -> None:
        """Start the container."""
        keys = (self._host.export_private_key().decode(), self._login.export_public_key().decode())
        env = contract.PodEnv(contract.boot_script(), *keys, self.volume_key).to_env()
        own = {"RUNPOD_POD_ID": "pod1", "RUNPOD_API_KEY": "canary-pod-key"}
        command = ["bash", "-c", 'eval "$COMFYUI_BOOT_SCRIPT"']
        ports = (contract.GATEWAY_PORT, contract.SSH_PORT)
        spec = ContainerSpec(
            "pod1", command, MIRRORS | env | own, self.volume, contract.VOLUME_MOUNT, ports, disk_gb=20,
            behaviour=self.behaviour,
        )  # fmt: skip
        await self.runtime.start(spec)

    async def stop(self) -> None:
        """Stop the container; its disk is gone."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers.clear()
        await self.runtime.stop("pod1")

    async def push(self, plan: ProvisionPlan) -> dict[str, Any]:
        """Install as `up` does; returns the result."""
        await self._serve_files()
        request = PushRequest(self.target, plan, SECRETS)
        return await Pusher(request, Console(self.said.append), PushTimeouts(900, 120)).push()

    async def _serve_files(self) -> None:
        if self._servers:
            return
        listener = await self.runtime.inner_listener("pod1", FILES_PORT)
        assert listener is not None
        listener.setblocking(True)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(self.files)))
        server.socket.close()
        server.socket = listener
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._servers.append(server)

    def cut_network(self) -> None:
        """Leave the pod no way out."""
        record = records.read(self.state / "namespace" / "pod1")
        assert record is not None
        subprocess.run(["nsenter", "-t", str(record.init.pid), "-n", "ip", "route", "del", "default"], check=True)

    async def run(self, command: str, given: str = "") -> str:
        """Run a command as root; fails with what it said."""
        async with connect(self.target) as connection:
            done = await connection.run(command, input=given, check=False)
        assert done.exit_status == 0, f"{done.stdout!s}{done.stderr!s}"
        return str(done.stdout)

    def log(self) -> str:
        """What the container said."""
        return self.runtime.log_path("pod1").read_text(encoding="utf-8")

    async def wait(self, url: str, seconds: float = 180) -> float:
        """Wait until something answers inside; returns the seconds that took."""
        began = time.monotonic()
        while True:
            try:
                await self.run(f"curl -fsS -o /dev/null -H 'Host: 127.0.0.1' {url}")
                return time.monotonic() - began
            except (OSError, asyncssh.Error, AssertionError):
                assert time.monotonic() - began < seconds, self.log()


def served_inside(plan: ProvisionPlan, url: str) -> ProvisionPlan:
    """Return the plan with the addresses that hold inside a pod."""
    text = plan.to_json().replace(url, f"http://127.0.0.1:{FILES_PORT}")
    return replace(ProvisionPlan.from_json(text), volume_gb=20)


def result_of(said: list[str]) -> Any:  # noqa: ANN401
    """Return the last line as JSON."""
    return json.loads(said[-1])
