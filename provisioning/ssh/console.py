"""Progress output: one line per event, and a line after some seconds without one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from provisioning.contract.display import printable

QUIET_SECONDS = 8.0


def size(count: int) -> str:
    """Return a number of bytes with a unit."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.2f} {name}"
    return f"{count} bytes"


class Console:
    """Prints progress; it receives no secrets."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._began = clock()
        self._last = clock()
        self._doing = "connecting"

    def say(self, text: str) -> None:
        """Print one line with the elapsed seconds."""
        self._last = self._clock()
        self._write(f"[{self._last - self._began:4.0f} s] {printable(text)}")

    def doing(self, text: str) -> None:
        """Print a line and use it as the current activity."""
        self._doing = text
        self.say(text)

    def event(self, line: dict[str, Any]) -> None:
        """Print a progress line of the installer."""
        amount = f" {size(line['bytes'])} of {size(line['total'])}" if line.get("total") else ""
        if line["state"] == "running":
            self._doing = f"{line['step']}: {line['detail']}"
        self.say(f"{line['step']}: {line['state']}{amount} {line['detail']}".rstrip())

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Print the current activity whenever there was no output for a while."""
        task = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(1)
            if self._clock() - self._last >= QUIET_SECONDS:
                self.say(f"still at: {self._doing}")
