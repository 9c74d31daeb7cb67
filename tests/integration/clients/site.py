"""A gateway process in front of a ComfyUI stand-in process, as its clients see it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from provisioning.gateway.accounts import key_format
from tests.comfyui.model_files import write_models
from tests.emulator.public_ports import kept_port

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "tests" / "comfyui" / "source"
WORKFLOWS = ROOT / "tests" / "comfyui" / "workflows"
PATIENCE_SECONDS = 180.0
"""For a process to come up, or a job to end, on a machine that has other things to do."""


def workflow(name: str = "text_to_image", *, text: str = "a lighthouse", seed: int = 1) -> dict[str, Any]:
    """Return one of the stand-in's workflows at its smallest; a marker in `text` makes the stand-in misbehave."""
    graph: dict[str, Any] = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    for node in graph.values():
        inputs = node["inputs"]
        if node["class_type"] == "CLIPTextEncode":
            inputs["text"] = text
        inputs |= {"seed": seed, "steps": 2} if "seed" in inputs else {}
        inputs |= {"width": 64, "height": 64} if "width" in inputs else {}
    return graph


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that another process does; fails the test when it does not."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class Program:
    """A process that can be killed and started again."""

    command: tuple[str, ...]
    folder: Path
    probe: str
    """The URL that answers once it is up."""
    environ: Mapping[str, str] = field(default_factory=dict)
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        environ = {**os.environ, **self.environ}
        self.running = subprocess.Popen(self.command, cwd=self.folder, env=environ, stdout=quiet, stderr=quiet)
        until(lambda: answers(self.probe), self.probe)

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self.running is not None:
            self.running.send_signal(number)
            self.running.wait(PATIENCE_SECONDS)
            self.running = None


@dataclass
class Site:
    """What stands there, and who may use it."""

    folder: Path
    comfyui: Program
    gateway: Program
    comfyui_url: str
    url: str
    alice: str
    bob: str
    admin: str

    def client(self, key: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS)


@contextlib.contextmanager
def opened(folder: Path, *, flags: tuple[str, ...] = (), **settings: object) -> Iterator[Site]:
    """Start a stand-in and a gateway below `folder`, and end them."""
    site = _site(folder, flags, settings)
    try:
        site.comfyui.start()
        site.gateway.start()
        yield site
    finally:
        site.gateway.stop()
        site.comfyui.stop()


def _site(folder: Path, flags: tuple[str, ...], settings: dict[str, object]) -> Site:
    folder.mkdir(parents=True, exist_ok=True)
    write_models(folder)
    comfyui, gateway = (f"http://127.0.0.1:{kept_port()}" for _ in range(2))
    keyring = {name: key_format.mint() for name in ("alice", "bob", "admin")}
    config = folder / "gateway.json"
    config.write_text(json.dumps(_settings(folder, comfyui, gateway, keyring) | settings), encoding="utf-8")
    return Site(folder, _comfyui(folder, comfyui, flags), _gateway(config, gateway), comfyui, gateway, **keyring)


def _settings(folder: Path, comfyui: str, gateway: str, keyring: Mapping[str, str]) -> dict[str, object]:
    scopes = {name: ["client", "admin"] if name == "admin" else ["client"] for name in keyring}
    return {
        "port": int(gateway.rpartition(":")[2]),
        "upstream": comfyui,
        "database": str(folder / "gateway.db"),
        "pepper": "pepper-of-the-client-tests-0123",
        "poll_seconds": 0.2,
        "rate_limit_per_minute": 100_000,
        "submits_per_minute": 100_000,
        "uploads_per_minute": 100_000,
        "seed_keys": [{"name": name, "key": key, "scopes": scopes[name]} for name, key in keyring.items()],
    }


def _comfyui(folder: Path, url: str, flags: tuple[str, ...]) -> Program:
    command = (
        sys.executable, "main.py", "--port", url.rpartition(":")[2], "--base-directory", str(folder),
        "--disable-metadata", "--preview-method", "latent2rgb", *flags,
    )  # fmt: skip
    return Program(command, SOURCE, f"{url}/queue", {"STAND_IN_STEP_SECONDS": "0.05"})


def _gateway(config: Path, url: str) -> Program:
    command = (sys.executable, "-m", "provisioning.gateway", "serve", "--config", str(config))
    return Program(command, ROOT, f"{url}/readyz")
