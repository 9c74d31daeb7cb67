"""What is measured: processes that answer, in front of the same canned ComfyUI."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from provisioning.gateway.accounts import key_format
from tests.bench.gateway import upstream
from tests.emulator import public_ports
from tests.unit.gateway.fake import PNG
from tools import system_packages

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 120.0
ADMIN = key_format.mint()
"""The key for every gateway here."""
ADMIN_SEED = {"name": "admin", "key": ADMIN, "scopes": ["client", "admin"]}

DIRECT, NGINX, PROXY, GATEWAY = "direct", "nginx", "comfy-api-proxy", "gateway"


@dataclass(frozen=True)
class Target:
    """A process that answers."""

    name: str
    port: int
    pid: int
    asset: str = ""
    """The id of an image that was uploaded through it."""
    job: str = ""
    """The id of a job that has ended."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, path: str, *, key: bool = True) -> bytes:
        """Return the bytes of a GET, with `{asset}` and `{job}` in the path filled in."""
        path = path.format(asset=self.asset, job=self.job)
        auth = f"Authorization: Bearer {ADMIN}\r\n" if key else ""
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{auth}\r\n".encode()


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """Keep a port for a process that takes seconds to start and binds with SO_REUSEPORT, as the pod does."""
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind(("127.0.0.1", 0))
        yield int(keeper.getsockname()[1])


@contextlib.contextmanager
def process(name: str, port: int, *command: str, environment: Mapping[str, str] | None = None) -> Iterator[Target]:
    """Run a server until the block ends; it listens when the block begins."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet) as started:
        try:
            _await_listener(name, port, started)
            yield Target(name, port, started.pid)
        finally:
            started.kill()


def _await_listener(name: str, port: int, started: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if started.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{name} does not listen; it ended with {started.returncode}")
        time.sleep(0.05)


@contextlib.contextmanager
def canned() -> Iterator[Target]:
    """Run the canned ComfyUI."""
    command = (sys.executable, "-m", "tests.bench.gateway.upstream")
    with kept_port() as port, process(DIRECT, port, *command, str(port)) as target:
        yield target


@contextlib.contextmanager
def gateway(folder: Path, comfyui: str, **options: object) -> Iterator[Target]:
    """Run the gateway with its settings as on the pod, but for the limits and what `options` say."""
    config = folder / "gateway.json"
    settings = {
        "upstream": comfyui,
        "database": str(folder / "gateway.db"),
        "pepper": "pepper-of-the-bench-0123456789",
        "rate_limit_per_minute": 1_000_000,
        "submits_per_minute": 1_000_000,
        "seed_keys": [ADMIN_SEED],
    }
    command = (sys.executable, "-m", "provisioning.gateway", "serve", "--config", str(config))
    with kept_port() as port:
        config.write_text(json.dumps(settings | options | {"port": port}))
        with process(GATEWAY, port, *command) as target, client(target) as http:
            _await_answer(http)
            yield target


def _await_answer(http: httpx.Client) -> None:
    """Wait for the gateway itself: nginx in front of it listens first, and says 503 meanwhile."""
    end = time.monotonic() + PATIENCE_SECONDS
    while http.get("/livez").status_code != 200:
        if time.monotonic() > end:
            raise RuntimeError("the gateway does not answer")
        time.sleep(0.05)


@contextlib.contextmanager
def nginx(folder: Path, comfyui: Target) -> Iterator[Target | None]:
    """Run nginx as a plain proxy, or nothing where it is not installed."""
    program = system_packages.where("nginx")
    if program is None:
        yield None
        return
    config = folder / "nginx.conf"
    # Connections to ComfyUI stay open, as ours do, and its answers go on as they come.
    upstream_ = f"upstream comfyui {{ server 127.0.0.1:{comfyui.port}; keepalive 64; keepalive_requests 1000000; }}"
    proxy = "proxy_pass http://comfyui; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off;"
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = (
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr crit; events {{}}\n"
        f"http {{ access_log off; keepalive_requests 1000000; {temporary} {upstream_}\n"
        f"server {{ listen 127.0.0.1:PORT reuseport; location / {{ {proxy} }} }} }}\n"
    )
    with kept_port() as port:
        config.write_text(text.replace("PORT", str(port)))
        with process(NGINX, port, program, "-p", str(folder), "-c", str(config)) as target:
            yield target


@contextlib.contextmanager
def comfy_api_proxy(comfyui: Target) -> Iterator[Target]:
    """Run Comfy-Org's own proxy, with a job and an image in it; its one token is the same as the gateway's key."""
    port = public_ports.kept_port()
    command = ("--comfyui", comfyui.url, "--port", str(port), "--token", ADMIN)
    with process(PROXY, port, sys.executable, "-m", "comfy_api_proxy.cli", *command) as target, client(target) as http:
        workflow = {"workflow": {"1": {"class_type": "SaveImage", "inputs": {}}}}
        submitted = http.post("/api/v2/jobs", json=workflow, headers={"Idempotency-Key": os.urandom(8).hex()})
        submitted.raise_for_status()
        yield Target(PROXY, port, target.pid, uploaded(http), upstream.JOB)


def client(target: Target) -> httpx.Client:
    """Return a client with the key."""
    headers = {"Authorization": f"Bearer {ADMIN}"}
    return httpx.Client(base_url=target.url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS)


def uploaded(http: httpx.Client) -> str:
    """Upload an image through the Comfy API and return its id."""
    answer = http.post("/api/v2/assets", files={"file": ("a.png", PNG, "image/png")}, data={"file_path": "a.png"})
    answer.raise_for_status()
    return str(answer.json()["id"])
