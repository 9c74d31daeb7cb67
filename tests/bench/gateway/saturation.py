"""Far more clients than places, none of which waits when it is told to.

What they are answered, and how `/livez` is meanwhile; beside it the same probe of a server that nobody else asks, which
tells how much of that is the machine's.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from tests.bench.gateway.load import Client, percentile
from tests.bench.gateway.table import Row, verdict
from tests.bench.gateway.targets import DIRECT, GATEWAY, ROOT, Target, canned, gateway

CLIENTS, SLOTS, SECONDS = 200, 8, 8.0
LIVEZ_MS = 50.0

_RETRY = re.compile(rb"\r\nretry-after: [1-9]\d*(\r|$)")
_WORKFLOW = json.dumps({"prompt": {"1": {"class_type": "SaveImage", "inputs": {}}}})


@dataclass
class Answers:
    """What the clients were answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused_without_word: Counter[int] = field(default_factory=Counter)
    """Refusals that did not say when to come again."""
    livez: list[float] = field(default_factory=list)
    """Seconds."""
    idle: list[float] = field(default_factory=list)
    """Seconds that a server took at the same time which has nothing else to do."""

    def note(self, head: bytes) -> None:
        """Count an answer."""
        status = int(head[9:12])
        self.statuses[status] += 1
        if status >= 400 and not _RETRY.search(head):
            self.refused_without_word[status] += 1

    @property
    def faults(self) -> list[str]:
        """Say what must not be: other refusals than 429 and 503, and any without Retry-After."""
        odd = [status for status in self.statuses if not (200 <= status < 300 or status in {429, 503})]
        silent = [f"{count} x {status} without Retry-After" for status, count in self.refused_without_word.items()]
        return [*(f"{self.statuses[status]} x {status}" for status in odd), *silent]


def saturated(folder: Path, clients: int = CLIENTS, slots: int = SLOTS, seconds: float = SECONDS) -> Answers:
    """Have so many clients ask a gateway that answers one user so many requests and jobs at once."""
    bounds = {"max_requests_per_owner": slots, "max_queued_per_owner": slots}
    with canned() as comfyui, canned() as idle, gateway(folder, comfyui.url, **bounds) as target:
        return uvloop.run(_saturate(target, idle, clients, seconds))


async def _saturate(target: Target, idle: Target, clients: int, seconds: float) -> Answers:
    answers, end = Answers(), time.monotonic() + seconds
    kinds = _kinds(target)
    probing = asyncio.gather(*(_probed(port, seconds) for port in (target.port, idle.port)))
    await asyncio.gather(*(_ask(target.port, kinds[number % len(kinds)], answers, end) for number in range(clients)))
    answers.livez, answers.idle = await probing
    return answers


def _kinds(target: Target) -> list[bytes]:
    """Return what is asked: of ComfyUI, of the database, a large body, and jobs that wait for the GPU."""
    submit = target.request("/prompt").replace(b"GET", b"POST", 1)[:-2]
    submit += f"Content-Length: {len(_WORKFLOW)}\r\n\r\n{_WORKFLOW}".encode()
    paths = ("/models", "/api/v2/jobs?limit=10", "/view?filename=a.png")
    return [*map(target.request, paths), submit]


async def _ask(port: int, request: bytes, answers: Answers, end: float) -> None:
    """Ask again and again until time is over, on a new connection whenever the gateway has ended one."""

    def heard(head: bytes, _seconds: float) -> bool:
        answers.note(head)
        return time.monotonic() < end

    while time.monotonic() < end:
        transport, client = await asyncio.get_running_loop().create_connection(
            lambda: Client(request, heard), "127.0.0.1", port
        )
        await client.done
        transport.close()


async def _probed(port: int, seconds: float) -> list[float]:
    command = (sys.executable, "-m", "tests.bench.gateway.probe", str(port), str(seconds))
    probing = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await probing.communicate()
    if probing.returncode:
        raise RuntimeError("/livez did not answer 200; the lines above say what it said")
    return list(map(float, json.loads(output)))


def measured(folder: Path, clients: int = CLIENTS, slots: int = SLOTS, seconds: float = SECONDS) -> Iterator[Row]:
    """Yield the table's rows: what the clients were answered, and what the probe was."""
    answers = saturated(folder, clients, slots, seconds)
    total = sum(answers.statuses.values())
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(answers.statuses.items()))
    found = f"MISSED: {'; '.join(answers.faults)}" if answers.faults else "met"
    aim = f"{counts}; aim 2xx, or 429 or 503 with Retry-After: {found}"
    yield Row(f"{clients} clients, {slots} slots", GATEWAY, total / seconds, verdict=aim)
    for name, target, took in (("an idle server", DIRECT, answers.idle), ("/livez", GATEWAY, answers.livez)):
        p50, p95 = (percentile(took, percent) for percent in (50, 95))
        judged = verdict("p95", p95, " ms", LIVEZ_MS) if target == GATEWAY else ""
        yield Row(f"{name} meanwhile", target, p50=p50, p95=p95, verdict=judged)
