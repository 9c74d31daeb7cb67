"""Where the jobs are sent: ComfyUI or its stand-in, and gateways in front of it as on a pod with a network volume."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from provisioning.gateway.accounts import key_format
from tests.bench.gateway import targets
from tests.bench.gateway.job_client import Workflow
from tests.bench.gateway.targets import DIRECT, GATEWAY, ROOT, Target
from tests.comfyui.model_files import write_models
from tests.emulator import public_ports
from tests.emulator.runtimes import volume_servers
from tests.emulator.runtimes.volume_behaviour import Behaviour
from tests.emulator.runtimes.volume_servers import VolumeServers

GATEWAY_ON_FUSE = "gateway on FUSE"
"""A gateway on a network volume as RunPod's are: a FUSE mount on which opening a file takes 1 ms."""

STEPS, STEP_SECONDS = 4, 0.05
"""The stand-in samples for 200 ms; it also draws a picture of 512 x 512 pixels and saves it."""

_TEXT_TO_IMAGE = ROOT / "tests" / "comfyui" / "workflows" / "text_to_image.json"


@dataclass(frozen=True)
class JobTarget:
    """A target and the keys of its clients."""

    target: Target
    keys: Sequence[str]
    """One for each client; empty strings for ComfyUI itself."""

    @property
    def name(self) -> str:
        return self.target.name


@contextlib.contextmanager
def running(folder: Path, clients: int, comfyui_port: int = 0) -> Iterator[list[JobTarget]]:
    """Run all targets, ComfyUI first; with a port, ComfyUI is the server that listens there already."""
    with contextlib.ExitStack() as stack:
        comfyui = Target(DIRECT, comfyui_port, 0) if comfyui_port else stack.enter_context(_standin(folder / "comfyui"))
        found = [JobTarget(comfyui, [""] * clients)]
        for name, volume in _volumes(stack, folder).items():
            home = folder / name.replace(" ", "-")
            home.mkdir()
            found.append(stack.enter_context(_gateway(name, home, volume, comfyui.url, clients)))
        yield found


@contextlib.contextmanager
def _standin(folder: Path) -> Iterator[Target]:
    """Run ComfyUI's stand-in."""
    write_models(folder)
    port = public_ports.kept_port()
    program = ROOT / "tests" / "comfyui" / "source" / "main.py"
    command = (sys.executable, str(program), "--port", str(port), "--base-directory", str(folder))
    environment = {**os.environ, "STAND_IN_STEP_SECONDS": str(STEP_SECONDS)}
    with targets.process(DIRECT, port, *command, environment=environment) as target:
        yield target


@contextlib.contextmanager
def _gateway(name: str, home: Path, volume: Path, comfyui: str, clients: int) -> Iterator[JobTarget]:
    """Run a gateway whose users' keys are seeded; its log and its files are on the volume."""
    keys = [key_format.mint() for _ in range(clients)]
    seeds = [{"name": f"user-{number}", "key": key, "scopes": ["client"]} for number, key in enumerate(keys)]
    on_volume = {"log": str(volume / "log"), "files": str(volume / "files")}
    with targets.gateway(home, comfyui, seed_keys=[*seeds, targets.ADMIN_SEED], **on_volume) as target:
        yield JobTarget(replace(target, name=name), keys)


def _volumes(stack: contextlib.ExitStack, folder: Path) -> dict[str, Path]:
    """Return the volume of each gateway; that by FUSE is left out where it cannot be mounted."""
    plain = folder / "volume"
    plain.mkdir()
    found = {GATEWAY: plain}
    if os.geteuid() == 0 and volume_servers.why_not() is None:
        found[GATEWAY_ON_FUSE] = stack.enter_context(_fuse_volume(folder))
    return found


@contextlib.contextmanager
def _fuse_volume(folder: Path) -> Iterator[Path]:
    volume = folder / "fuse"
    volume.mkdir()
    servers = VolumeServers(folder / "state")
    mount = servers.claim("bench", volume, Behaviour(open_ms=1.0))
    try:
        yield Path(f"/proc/{mount.server}/root{mount.path}")
    finally:
        servers.release("bench")


def text_to_image(number: int) -> Workflow:
    """Return a workflow for the stand-in; each number makes another picture."""
    graph: Workflow = json.loads(_TEXT_TO_IMAGE.read_text())
    graph["3"]["inputs"] |= {"seed": number, "steps": STEPS}
    return graph


def without_models(number: int) -> Workflow:
    """Return a workflow that a ComfyUI without models runs; each number makes another picture."""
    size = {"batch_size": 1, "width": 512, "height": 512}
    scaling = {"upscale_method": "lanczos", "crop": "disabled"}
    return {
        "1": {"class_type": "EmptyImage", "inputs": {**size, "color": number % 0x1000000}},
        "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "width": 2048, "height": 2048, **scaling}},
        "3": {"class_type": "ImageScale", "inputs": {"image": ["2", 0], "width": 512, "height": 512, **scaling}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "bench"}},
    }
