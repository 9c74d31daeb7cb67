"""Load: clients on connections that stay open, each waiting for its answer before it asks again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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

    def __init__(self, request: bytes, heard: Callable[[bytes, float], bool]) -> None:
        """`heard` is told each answer's head and how many seconds it took, and says whether to ask again."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request, self._heard = request, heard
        self._left = 0
        self._came = self._head = b""
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
            self._came += data
            head, end, data = self._came.partition(b"\r\n\r\n")
            if not end:
                return
            self._came, self._head = b"", head
            self._left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        self._left -= len(data)
        if self._left == 0:
            self._answered()

    def _answered(self) -> None:
        try:
            again = self._heard(self._head, time.perf_counter() - self._began)
        except RuntimeError as error:
            self.done.set_exception(error)
            return
        if again and b"connection: close" not in self._head:
            self._ask()
        elif not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        assert self._transport is not None
        self._began = time.perf_counter()
        self._transport.write(self._request)


class Tally:
    """Counts one client's answers, all of which have to be good ones."""

    def __init__(self, times: int) -> None:
        self.latencies: list[float] = []
        self._times = times

    def note(self, head: bytes, seconds: float) -> bool:
        """Count an answer and return whether another is wanted; raises RuntimeError for any but 200."""
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        self.latencies.append(seconds)
        return len(self.latencies) < self._times


async def load(port: int, request: bytes, *, clients: int, requests: int, pid: int) -> Run:
    """Send `requests` requests over `clients` connections."""
    loop = asyncio.get_running_loop()
    tallies = [Tally(requests // clients) for _ in range(clients)]
    cpu, began = cpu_seconds(pid), time.perf_counter()
    made = [await loop.create_connection(partial(Client, request, tally.note), "127.0.0.1", port) for tally in tallies]
    await asyncio.gather(*(client.done for _, client in made))
    seconds, cpu = time.perf_counter() - began, cpu_seconds(pid) - cpu
    for transport, _ in made:
        transport.close()
    latencies = [latency for tally in tallies for latency in tally.latencies]
    return Run(len(latencies), seconds, latencies, cpu)
