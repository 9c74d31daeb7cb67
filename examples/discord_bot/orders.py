"""The bot's memory: a small file with every order that is not answered yet."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Order:
    """What somebody asked for, and how far it is."""

    channel: str
    """Where the answer goes: a Discord channel or interaction, in whatever form the posting side can find it again."""
    prompt: str
    seed: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Also the Idempotency-Key: however often the order is submitted, it is one job."""
    job: str | None = None
    """The gateway's id of its job, once that is known."""


class OrderBook:
    """The open orders, on disk before anything is done about them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._orders = {order.id: order for order in _read(path)}

    def open(self) -> list[Order]:
        """Return the orders that are not answered, oldest first."""
        return list(self._orders.values())

    def put(self, order: Order) -> None:
        """Keep an order, new or changed."""
        self._orders[order.id] = order
        self._write()

    def started(self, order: Order, job: str) -> Order:
        """Keep the job of an order and return the order with it."""
        known = replace(order, job=job)
        self.put(known)
        return known

    def done(self, order: Order) -> None:
        """Forget an order that was answered."""
        self._orders.pop(order.id, None)
        self._write()

    def _write(self) -> None:
        draft = self._path.with_suffix(".new")
        with draft.open("w", encoding="utf-8") as file:
            json.dump([asdict(order) for order in self._orders.values()], file)
            file.flush()
            os.fsync(file.fileno())
        # In one step: whenever the bot is killed, the file is the old one or the new one.
        draft.replace(self._path)


def _read(path: Path) -> list[Order]:
    if not path.exists():
        return []
    return [Order(**order) for order in json.loads(path.read_text(encoding="utf-8"))]
