"""A pod in a directory: boot.sh as its first process, the real bundle, the ComfyUI stand-in, no SSH in between."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import threading
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from provisioning import contract
from provisioning.contract import GatewayPlan, ModelPin, ProvisionPlan, Secrets, SourcePin, bundle
from provisioning.install import job
from provisioning.install.follow import follow
from provisioning.layout import Layout
from provisioning.progress import read_from
from tests.comfyui.publication import Published, publish
from tests.emulator.public_ports import kept_port
from tests.unit.provisioning.conftest import TRUSTED

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MIRRORS = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_CERT", "GIT_SSL"))}
PACKED, DIGEST = bundle.pack(), bundle.digest()
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def gateway_key(body: str) -> str:
    """Return a key as the stack makes them: prefix, body, six digits of CRC32."""
    text = f"cgw_live_{body}"
    rest, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = BASE62[digit] + digits
    return text + digits


SECRETS = Secrets("canary-pepper-0123456789-abcdefghij-klmn", gateway_key("a" * 40), gateway_key("b" * 40))


# The installer, with a count of what it changes outside itself: at zero it is gone, as if the pod had lost its power.
KILLER = """
import os, signal, subprocess, sys
from pathlib import Path

left = int(sys.argv[1])

def counted(function):
    def call(*args, **kwargs):
        global left
        result = function(*args, **kwargs)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

for name in ("rename", "replace", "symlink_to", "unlink", "chmod"):
    setattr(Path, name, counted(getattr(Path, name)))
subprocess.Popen.communicate = counted(subprocess.Popen.communicate)
from provisioning.install.__main__ import main
main()
"""


VOLUME_KEY = "k" * 64


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Published]]:
    """The stand-in's repositories and models behind a plain file server."""
    directory = tmp_path_factory.mktemp("published")
    made = publish(directory)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", made
    server.shutdown()
    server.server_close()


@pytest.fixture
def plan(published: tuple[str, Published]) -> ProvisionPlan:
    url, made = published
    lock = (Path(__file__).parents[2] / "comfyui" / "requirements.lock").read_text(encoding="utf-8")
    node = made.custom_node
    return ProvisionPlan(
        comfyui=SourcePin("comfyui", f"{url}/{made.comfyui.path}", made.comfyui.tag, made.comfyui.commit, lock),
        nodes=(SourcePin("stand-in-border", f"{url}/{node.path}", node.tag, node.commit),),
        models=tuple(ModelPin(m.name, m.folder, f"{url}/{m.path}", m.sha256, m.size_bytes) for m in made.models),
        gateway=GatewayPlan({"hosts": ["127.0.0.1"], "rate_limit_per_minute": 600}, 0.5),
    )


class DirectoryPod:
    """The pod; `boot` is a container start, `halt` a stop: the container disk goes, the volume stays."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self._ports = {private: kept_port() for private in (contract.COMFYUI_PORT, contract.GATEWAY_PORT)}
        self._boot: subprocess.Popen[bytes] | None = None
        self.volume_key = VOLUME_KEY
        root.mkdir(parents=True)

    @property
    def env(self) -> dict[str, str]:
        ports = {f"POD_PORT_{private}": str(real) for private, real in self._ports.items()}
        root = {"POD_ROOT": str(self.layout.root), "HOME": str(self.layout.root), "PATH": SYSTEM_PATH}
        own = {
            "RUNPOD_POD_ID": "pod",
            "RUNPOD_API_KEY": "canary-pod-key",
            contract.VOLUME_KEY_VARIABLE: self.volume_key,
        }
        return MIRRORS | ports | root | own

    def boot(self) -> None:
        env = contract.PodEnv(contract.boot_script(), "unused", "unused", self.volume_key).to_env() | self.env
        command = ["bash", "-c", 'eval "$COMFYUI_BOOT_SCRIPT"']
        self._boot = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True)

    def halt(self) -> None:
        if self._boot:
            self._boot.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._boot.wait(timeout=40)
            with suppress(ProcessLookupError):
                os.killpg(self._boot.pid, signal.SIGKILL)
            self._boot.wait()
        for directory in (self.layout.run, self.layout.local):
            shutil.rmtree(directory, ignore_errors=True)

    def unpack(self) -> Path:
        """Put the bundle where `push` puts it."""
        directory = self.layout.bundles / DIGEST
        if not directory.exists():
            with tarfile.open(fileobj=io.BytesIO(PACKED)) as tar:
                tar.extractall(directory, **TRUSTED)  # noqa: S202 - our own
        return directory

    def start(self, plan: ProvisionPlan) -> str:
        """Start an installer as `push` does over SSH; returns the run's name."""
        directory = self.unpack()
        name = hashlib.sha256(plan.to_json().encode()).hexdigest()
        order = {"job": name, "plan": json.loads(plan.to_json()), "secrets": vars(SECRETS)}
        done = subprocess.run(
            ["python3", "-m", "provisioning.install.starter"], cwd=directory, env=self.env, check=True,
            input=json.dumps(order), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return str(json.loads(done.stdout)["run"])

    def events(self, run: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line, _ in read_from(job.progress_path(self.layout, run), 0)]

    def finish(self, run: str) -> dict[str, Any]:
        """Wait for a run's result."""
        lines = [line for line in follow(self.layout, run, 0) if line]
        last: dict[str, Any] = json.loads(lines[-1].split(" ", 1)[1])
        return last

    def run_until_killed(self, plan: ProvisionPlan, operations: int) -> bool:
        """Run an installer that kills itself behind so many operations; True when it came to its end before."""
        run = f"killed-{operations}"
        order = {"job": "j", "run": run, "plan": json.loads(plan.to_json()), "secrets": vars(SECRETS)}
        done = subprocess.run(
            ["python3", "-c", KILLER, str(operations)], cwd=self.unpack(), env=self.env, check=False,
            input=json.dumps(order), text=True, timeout=300, start_new_session=True,
        )  # fmt: skip
        assert done.returncode in {0, -signal.SIGKILL}
        return done.returncode == 0

    def answers(self, private: int, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[private]}{path}", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def tree(self) -> dict[str, str]:
        """Path and content of all that an installation makes; without logs, data, and what holds the pod's own path."""
        tops = (self.layout.local, self.layout.home)
        found = ((path.relative_to(top), path) for top in tops for path in sorted(top.rglob("*")))
        kept = ((name, path) for name, path in found if path.is_file() or path.is_symlink())
        return {str(name): _content(path) for name, path in kept if _is_made(name)}


def _is_made(name: Path) -> bool:
    # Archives and the record hold times and a nonce.
    variable = name.parts[0] in {"jobs", "logs", "gateway", "services.sealed", "gateway-log"} or name.parts[:2] in {
        ("base", "user"),
        ("base", "temp"),
    }
    in_venv = name.parts[0] == "venvs" and ("bin" in name.parts or name.name == "RECORD")
    return not variable and not in_venv and "__pycache__" not in name.parts


def _content(path: Path) -> str:
    if path.parent.name == "archives":
        return "an archive"
    return f"-> {path.readlink()}" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Callable[[str], DirectoryPod]]:
    """Make pods by name; each is ended with all that runs in it."""
    made: list[DirectoryPod] = []

    def make(name: str) -> DirectoryPod:
        made.append(DirectoryPod(tmp_path / name))
        return made[-1]

    yield make
    for pod in made:
        record = job.running(pod.layout)
        if record:
            job.stop(pod.layout, record)
        pod.halt()
        # Where it has a folder of its own, that is outside the test's.
        shutil.rmtree(pod.layout.supervisor_socket.parent, ignore_errors=True)
