"""Load: clients on connections that stay open, each waiting for its answer before it asks again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import cast


@dataclass(frozen=True)
class Run:
    """What one run of requests measured."""

    requests: int
    seconds: float
    latencies: list[float]
    """Seconds."""
    cpu_seconds: float
    """User and system time of the process under test."""

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu_seconds / self.requests * 1000

    def percentile(self, percent: int) -> float:
        """Return a latency in milliseconds."""
        return percentile(self.latencies, percent)


def percentile(seconds: list[float], percent: int) -> float:
    """Return a percentile in milliseconds."""
    return quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000 if len(seconds) > 1 else seconds[0] * 1000


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, from the scheduler's own nanosecond count."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Client(asyncio.Protocol):
    """Sends one request over and over, and counts bytes to know where each answer ends."""

    def __init__(self, request: bytes, times: int) -> None:
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request, self._times = request, times
        self._left = 0
        self._head = b""
        self._began = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class that asyncio knows.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        if self._left == 0:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head, self._left = b"", self._length(head)
            data = body
        self._left -= len(data)
        if self._left == 0:
            self._answered()

    def _length(self, head: bytes) -> int:
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(head.decode("latin-1")))
        return int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])

    def _answered(self) -> None:
        self.latencies.append(time.perf_counter() - self._began)
        if len(self.latencies) < self._times:
            self._ask()
        elif not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        assert self._transport is not None
        self._began = time.perf_counter()
        self._transport.write(self._request)


async def load(port: int, request: bytes, *, clients: int, requests: int, pid: int) -> Run:
    """Send `requests` requests over `clients` connections."""
    loop = asyncio.get_running_loop()
    cpu, began = cpu_seconds(pid), time.perf_counter()
    made = [
        await loop.create_connection(lambda: Client(request, requests // clients), "127.0.0.1", port)
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in made))
    seconds, cpu = time.perf_counter() - began, cpu_seconds(pid) - cpu
    for transport, _ in made:
        transport.close()
    latencies = [latency for _, client in made for latency in client.latencies]
    return Run(len(latencies), seconds, latencies, cpu)
