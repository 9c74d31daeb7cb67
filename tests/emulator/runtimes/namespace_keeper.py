"""The runtime's connection to a pod's keeper process (`namespace_init`)."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.emulator.runtimes import RuntimeFailureError
from tests.emulator.runtimes.namespace_init import PATH, Order
from tests.emulator.runtimes.namespace_orphans import KEEPER
from tests.emulator.runtimes.namespace_processes import ProcessId

CHECKOUT = Path(__file__).resolve().parents[3]
_ANSWER_SECONDS = 60.0
"""Making a disk and mounting it takes a fraction of a second; a busy machine may take its time."""


class Keeper:
    """A keeper just started, in a session of its own; left unfinished, it ends and takes the pod with it."""

    def __init__(self, order: Order) -> None:
        order_end, self._orders = os.pipe()
        self._answers, answer_end = os.pipe()
        try:
            self.pid = _spawn(order.home, order_end, answer_end)
        finally:
            os.close(order_end)
            os.close(answer_end)
        self._order = order

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._orders)
        os.close(self._answers)
        if kind is not None:
            os.kill(self.pid, signal.SIGKILL)  # our own child, not waited for yet: the number is still its own
            os.waitpid(self.pid, 0)

    def prepare(self) -> ProcessId:
        """Give the order, and return what is to become the pod's first process, in namespaces of its own."""
        os.write(self._orders, f"{self._order.to_json()}\n".encode())
        answer = self._read_until(b"\n")
        if not answer.startswith("ready "):
            raise RuntimeFailureError(f"no namespaces for {self._order.hostname}: {answer.strip() or 'no answer'}")
        return ProcessId.of(int(answer.split()[1]))

    def identify(self) -> ProcessId:
        """Return the keeper itself, for the record."""
        return ProcessId.of(self.pid)

    def go(self) -> None:
        """Have the disk mounted and the start command run; returns when it does."""
        os.write(self._orders, b"!")
        complaint = self._read_until(None)
        if complaint:
            raise RuntimeFailureError(f"the container of {self._order.hostname} could not be made: {complaint}")

    def _read_until(self, end: bytes | None) -> str:
        """Read up to `end`, or until the other side has closed its pipe."""
        heard = bytearray()
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while end is None or not heard.endswith(end):
            if not poll.poll(_ANSWER_SECONDS * 1000):
                raise RuntimeFailureError(
                    f"the keeper of {self._order.hostname} said nothing for {_ANSWER_SECONDS:.0f} s"
                )
            byte = os.read(self._answers, 1)
            if not byte:
                break
            heard += byte
        return heard.decode(errors="replace")


def _spawn(home: str, order_end: int, answer_end: int) -> int:
    # The directory is for those who look at the machine's processes, `orphans` among them.
    command = [sys.executable, "-m", KEEPER, home]
    # Nothing of the emulator's own environment: it may hold secrets, and /proc shows it.
    environment = {"PATH": PATH, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    duplicated = [(os.POSIX_SPAWN_DUP2, *pair) for pair in ((order_end, 0), (answer_end, 1), (answer_end, 2))]
    return os.posix_spawn(sys.executable, command, environment, file_actions=duplicated, setsid=True)
