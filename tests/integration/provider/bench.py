"""A stack on the real engine, against an emulator of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.runpod.api.client import Client
from tests.emulator.public_ports import kept_port

CHECKOUT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("program.py")
KEY = "rpa_canary_provider_1"
BOUND = 240.0
"""Seconds for one command of the engine; a loaded machine needs many times what an idle one does."""


def engine_folder() -> Path | None:
    """The folder of the engine that the set-up chose, else of the one on PATH; None without either."""
    record = CHECKOUT / ".cache" / "setup.json"
    if record.exists():
        return Path(json.loads(record.read_text())["engine"]["folder"])
    found = shutil.which("pulumi")
    return Path(found).parent if found else None


def until(happened: Callable[[], Any], what: str, bound: float = BOUND) -> Any:  # noqa: ANN401 - whatever it returns
    """Poll until something is true, and return it."""
    end = time.monotonic() + bound
    while time.monotonic() < end:
        if result := happened():
            return result
        time.sleep(0.05)
    raise AssertionError(f"within {bound} s: {what}")


@dataclass
class Emulator:
    url: str
    process: subprocess.Popen[bytes]

    def control(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/_emulator/{path}", data, headers)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def pods(self) -> list[dict[str, Any]]:
        pods: list[dict[str, Any]] = self.control("pods")["pods"]
        return pods

    def billing(self) -> int:
        real = self.control("pods")
        return len(real["pods"]) + len(real["volumes"])

    def clear(self) -> None:
        """End what a failed test has left, so that it fails alone."""
        for pod in self.pods():
            self.control(f"pods/{pod['id']}", {"do": "lose"})
        client = Client(KEY, self.url)
        for volume in client.list_network_volumes():
            client.delete_network_volume(volume.id)
        client.close()

    def calls(self, method: str, path: str) -> int:
        return sum(call["method"] == method and call["path"] == path for call in self.requests())

    def requests(self) -> list[dict[str, Any]]:
        answer = self.control("requests")
        calls: list[dict[str, Any]] = answer if isinstance(answer, list) else answer["requests"]
        return calls


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[Emulator]:
    port = kept_port()
    command = [sys.executable, "-m", "tests.emulator", "serve", "--port", str(port), "--state", str(folder)]
    log = (folder.parent / "emulator.log").open("wb")
    process = subprocess.Popen([*command, "--runtime", "process"], cwd=CHECKOUT, stdout=log, stderr=log)
    running = Emulator(f"http://127.0.0.1:{port}", process)
    try:
        until(lambda: _answers(running), "the emulator answers")
        yield running
    finally:
        process.terminate()
        process.wait(120)
        log.close()


def _answers(running: Emulator) -> bool:
    try:
        return bool(running.control("health"))
    except OSError:
        return False


@dataclass
class Stack:
    """One stack with a file backend in a folder of its own."""

    folder: Path
    environ: dict[str, str] = field(repr=False)

    def run(self, *arguments: str, fails: bool = False) -> str:
        process = self.start(*arguments)
        try:
            output = process.communicate(timeout=BOUND)[0].decode()
        except BaseException:
            kill_tree(process)  # or else it goes on among the pods of the next test
            raise
        assert (process.returncode != 0) == fails, output
        return output

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the CLI as the leader of a session of its own, so that a test can end its whole tree."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"],
            executable=shutil.which("pulumi", path=self.environ["PATH"]),
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def config(self, key: str, value: str) -> None:
        secret = ["--secret"] if key == "runpod:apiKey" else []
        self.run("config", "set", *secret, key, value)

    def up(self, *arguments: str, fails: bool = False) -> str:
        return self.run("up", "--yes", "--skip-preview", *arguments, fails=fails)

    def destroy(self, *arguments: str, fails: bool = False) -> str:
        return self.run("destroy", "--yes", "--skip-preview", *arguments, fails=fails)

    def outputs(self) -> dict[str, Any]:
        outputs: dict[str, Any] = json.loads(self.run("stack", "output", "--json"))
        return outputs

    def everything_on_disk(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.folder.parent.rglob("*") if file.is_file())


def new_stack(folder: Path, engine: Path, api_url: str) -> Stack:
    project = folder / "project"
    (folder / "backend").mkdir(parents=True)
    project.mkdir()
    plugin = CHECKOUT / "components" / "runpod" / "plugin"
    project_file = {"name": "provider-test", "runtime": "python"}
    plugins = {"providers": [{"name": "runpod", "path": str(plugin)}]}
    (project / "Pulumi.yaml").write_text(json.dumps({**project_file, "plugins": plugins}))
    shutil.copy(PROGRAM, project / "__main__.py")
    stack = Stack(project, _environ(folder, engine))
    stack.run("stack", "init", "test")
    plain = {
        "runpod:apiUrl": api_url,
        "runpod:proxyUrlTemplate": "http://127.0.0.1:{publicPort}",
        "runpod:lateEffectSeconds": "3",
    }
    settings = [part for name, value in plain.items() for part in ("--plaintext", f"{name}={value}")]
    stack.run("config", "set-all", "--secret", f"runpod:apiKey={KEY}", *settings)
    return stack


def _environ(folder: Path, engine: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "RUNPOD_"))}
    return kept | {
        "PATH": f"{engine}:{CHECKOUT / '.venv' / 'bin'}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "COMFYUI_RUNPOD_STATE": str(folder / "state"),
    }


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """End the CLI and all it has started, as a power cut would: plugins are in process groups of their own."""
    victims = [process.pid, *descendants(process.pid)]
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=BOUND)


def descendants(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = [(int(child), int(parent)) for child, parent in (line.split() for line in listed.splitlines())]
    children = [child for child, parent in parents if parent == pid]
    return children + [deeper for child in children for deeper in descendants(child)]


def plugin_of(process: subprocess.Popen[bytes]) -> int:
    """The pid of the CLI's provider process."""
    for pid in descendants(process.pid):
        listed = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if "components.runpod.plugin" in listed.stdout:
            return pid
    return 0


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for yet does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")
