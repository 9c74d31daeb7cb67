"""The order book: a file with every unanswered order."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Order:
    """A prompt and its state."""

    channel: str
    """Destination of the answer, such as a Discord channel or interaction, as text."""
    prompt: str
    seed: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Also the Idempotency-Key, so that repeated submissions are one job."""
    job: str | None = None
    """The gateway's id of its job; empty before the submission."""


class OrderBook:
    """The open orders, which are saved before they are submitted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._orders = {order.id: order for order in _read(path)}

    def open(self) -> list[Order]:
        """Return the unanswered orders, oldest first."""
        return list(self._orders.values())

    def put(self, order: Order) -> None:
        """Save a new or changed order."""
        self._orders[order.id] = order
        self._write()

    def started(self, order: Order, job: str) -> Order:
        """Save the job of an order and return the changed order."""
        known = replace(order, job=job)
        self.put(known)
        return known

    def done(self, order: Order) -> None:
        """Remove an answered order."""
        self._orders.pop(order.id, None)
        self._write()

    def _write(self) -> None:
        draft = self._path.with_suffix(".new")
        with draft.open("w", encoding="utf-8") as file:
            json.dump([asdict(order) for order in self._orders.values()], file)
            file.flush()
            os.fsync(file.fileno())
        # Atomic: after a kill, the file is the old or the new one.
        draft.replace(self._path)


def _read(path: Path) -> list[Order]:
    if not path.exists():
        return []
    return [Order(**order) for order in json.loads(path.read_text(encoding="utf-8"))]
