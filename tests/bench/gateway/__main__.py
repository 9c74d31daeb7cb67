"""Print one table: the same requests to a canned upstream directly, through nginx when it is there, and through us."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from provisioning.gateway.access import keys
from tests.bench.gateway.load import Run, load

ROOT = Path(__file__).parents[3]
ADMIN = keys.mint()


@dataclass(frozen=True)
class Case:
    """One kind of request."""

    name: str
    path: str
    requests: int
    clients: int


CASES = (
    Case("JSON, 1 client", "/models", 3000, 1),
    Case("JSON, 32 clients", "/models", 9600, 32),
    Case("1 MB image, 1 client", "/view?filename=a.png", 300, 1),
    Case("1 MB image, 8 clients", "/view?filename=a.png", 800, 8),
)

OWN = (Case("/livez, no key", "/livez", 3000, 1), Case("own jobs, database", "/api/v2/jobs", 2000, 1))


@dataclass(frozen=True)
class Target:
    """A process that answers."""

    name: str
    port: int
    pid: int


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def process(name: str, port: int, *command: str) -> Iterator[Target]:
    """Run a server until the block ends."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        try:
            yield Target(name, port, started.pid)
        finally:
            started.kill()


@contextlib.contextmanager
def gateway(folder: Path, upstream: Target) -> Iterator[Target]:
    """Run the gateway with its settings as on the pod, but for the limits."""
    port, config = free_port(), folder / "gateway.json"
    seeds = [{"name": "admin", "key": ADMIN, "scopes": ["client", "admin"]}]
    config.write_text(
        json.dumps(
            {
                "port": port,
                "upstream": f"http://127.0.0.1:{upstream.port}",
                "database": str(folder / "gateway.db"),
                "pepper": "pepper-of-the-bench-0123456789",
                "rate_limit_per_minute": 1_000_000,
                "seed_keys": seeds,
            }
        )
    )
    with process("gateway", port, sys.executable, "-m", "provisioning.gateway", "serve", "--config", str(config)) as it:
        yield it


@contextlib.contextmanager
def nginx(folder: Path, upstream: Target) -> Iterator[Target | None]:
    """Run nginx as a plain proxy, or nothing where it is not installed."""
    program = shutil.which("nginx")
    if program is None:
        yield None
        return
    port, config = free_port(), folder / "nginx.conf"
    proxy = f"proxy_pass http://127.0.0.1:{upstream.port}; proxy_http_version 1.1; proxy_set_header Connection ''"
    config.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; keepalive_requests 1000000; server {{ listen 127.0.0.1:{port};"
        f" location / {{ {proxy}; proxy_buffering off; }} }} }}\n"
    )
    with process("nginx", port, program, "-p", str(folder), "-c", str(config)) as it:
        yield it


async def answering(target: Target) -> None:
    """Wait until a target listens."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", target.port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def request(case: Case, target: Target) -> bytes:
    """Return a request's bytes."""
    return f"GET {case.path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nX-API-Key: {ADMIN}\r\n\r\n".encode()


async def best(case: Case, target: Target, passes: int) -> Run:
    """Return the quickest of several passes: the one that other work on the machine disturbed least."""
    runs = [
        await load(target.port, request(case, target), clients=case.clients, requests=case.requests, pid=target.pid)
        for _ in range(passes)
    ]
    return min(runs, key=lambda run: run.cpu_ms)


def row(case: Case, target: Target, run: Run, direct: Run | None) -> str:
    """Return a line of the table."""
    p50, p99 = run.percentile(50), run.percentile(99)
    line = f"{case.name:<24} {target.name:<9} {run.per_second:>8.0f} {p50:>8.3f} {p99:>8.3f} {run.cpu_ms:>8.3f}"
    if direct is None:
        return line
    return f"{line} {p50 - direct.percentile(50):>+9.3f} {run.per_second / direct.per_second:>7.3f}"


async def measure(targets: list[Target], passes: int) -> None:
    """Print the table."""
    columns = f"{'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8} {'p50 +ms':>9} {'ratio':>7}"
    head = f"{'request':<24} {'target':<9} {columns}"
    print(head)  # noqa: T201 - the table is what this command is for
    for case in CASES:
        direct: Run | None = None
        for target in targets:
            run = await best(case, target, passes)
            print(row(case, target, run, direct))  # noqa: T201
            direct = direct or run
    for case in OWN:
        print(row(case, targets[-1], await best(case, targets[-1], passes), None))  # noqa: T201


def main() -> None:
    """Start everything, measure, stop everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway", description=__doc__)
    parser.add_argument("--passes", type=int, default=3, help="passes per cell; the best counts (default 3)")
    passes = parser.parse_args().passes
    port = free_port()
    upstream_command = (sys.executable, "-m", "tests.bench.gateway.upstream", str(port))
    with (
        tempfile.TemporaryDirectory() as folder,
        process("direct", port, *upstream_command) as upstream,
        nginx(Path(folder), upstream) as plain,
        gateway(Path(folder), upstream) as ours,
    ):
        targets = [target for target in (upstream, plain, ours) if target is not None]
        for target in targets:
            asyncio.run(answering(target))
        asyncio.run(measure(targets, passes))


if __name__ == "__main__":
    main()
