"""Waiting, running and finished jobs, in memory as in ComfyUI."""

from __future__ import annotations

import copy
import heapq
import threading
import time
from collections.abc import Callable
from typing import Any

from .machine import Machine

Item = tuple[float, str, dict[str, Any], dict[str, Any], list[str], dict[str, Any]]
"""Number, prompt id, prompt, extra data, outputs to make, and what is too secret to show."""

_HISTORY_LIMIT = 10000
_SECRET_NAMES = ("auth_token_comfy_org", "api_key_comfy_org")


def make_item(
    number: float, prompt_id: str, prompt: dict[str, Any], extra_data: dict[str, Any], outputs: list[str]
) -> Item:
    """Return a job; the client's secrets are set apart, so that no listing shows them."""
    secrets = {name: extra_data[name] for name in _SECRET_NAMES if name in extra_data}
    shown = {name: value for name, value in extra_data.items() if name not in secrets}
    return number, prompt_id, prompt, shown | {"create_time": int(time.time() * 1000)}, outputs, secrets


class PromptQueue:
    """A queue ordered by number, smallest first; safe to use from several threads."""

    def __init__(self, changed: Callable[[], None], machine: Machine) -> None:
        self._changed = changed
        self._machine = machine
        self._lock = threading.RLock()
        self._not_empty = threading.Condition(self._lock)
        self._waiting: list[Item] = []
        self._running: Item | None = None
        self._history: dict[str, dict[str, Any]] = {}
        self._forget_cache = False
        self._closed = False

    def put(self, item: Item) -> None:
        """Add a job."""
        with self._lock:
            heapq.heappush(self._waiting, item)
            self._changed()
            self._not_empty.notify()

    def take(self) -> Item | None:
        """Wait for a job, make it the running one, and return it; None once the queue is closed."""
        with self._not_empty:
            self._not_empty.wait_for(lambda: self._closed or bool(self._waiting))
            if self._closed:
                return None
            item = heapq.heappop(self._waiting)
            # Under the lock, so that whoever interrupts this job from now on is not forgotten.
            self._machine.calm()
            self._running = copy.deepcopy(item)
            self._changed()
            return item

    def close(self) -> None:
        """Let whoever waits for a job go; the running one ends at its next step."""
        with self._lock:
            self._closed = True
            self._machine.interrupt()
            self._not_empty.notify_all()

    def done(self, result: dict[str, Any]) -> None:
        """Move the running job into the history with its outputs, meta and status."""
        with self._lock:
            if self._running is None:
                raise RuntimeError("No job is running: done() was called twice")
            if len(self._history) > _HISTORY_LIMIT:
                self._history.pop(next(iter(self._history)))
            self._history[self._running[1]] = {"prompt": self._running[:5], "outputs": {}, "status": None} | result
            self._running = None
            self._changed()

    def current(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Return running and waiting jobs without their secret part; the waiting ones in heap order."""
        with self._lock:
            running = [self._running[:5]] if self._running else []
            return running, [item[:5] for item in self._waiting]

    def remaining(self) -> int:
        """Return how many jobs are running or waiting."""
        with self._lock:
            return len(self._waiting) + (self._running is not None)

    def wipe(self) -> None:
        """Remove every waiting job."""
        with self._lock:
            self._waiting.clear()
            self._changed()

    def delete(self, prompt_id: str) -> bool:
        """Remove one waiting job; returns whether it was there."""
        with self._lock:
            for item in self._waiting:
                if item[1] == prompt_id:
                    self._waiting.remove(item)
                    heapq.heapify(self._waiting)
                    self._changed()
                    return True
        return False

    def interrupt_if_running(self, prompt_id: str) -> bool:
        """Interrupt this job and no other; returns whether it was running."""
        with self._lock:
            if self._running is None or self._running[1] != prompt_id:
                return False
            self._machine.interrupt()
            return True

    def history(
        self, prompt_id: str | None = None, max_items: int | None = None, offset: int = -1
    ) -> dict[str, dict[str, Any]]:
        """Return finished jobs by id, oldest first; without an offset the last `max_items` of them."""
        with self._lock:
            if prompt_id is not None:
                return {prompt_id: self._history[prompt_id]} if prompt_id in self._history else {}
            if offset < 0 and max_items is not None:
                offset = len(self._history) - max_items
            begin = max(offset, 0)
            end = None if max_items is None else begin + max_items
            return dict(list(self._history.items())[begin:end])

    def wipe_history(self) -> None:
        """Forget every finished job."""
        with self._lock:
            self._history.clear()

    def delete_history(self, prompt_id: str) -> None:
        """Forget one finished job, if it is there."""
        with self._lock:
            self._history.pop(prompt_id, None)

    def ask_to_forget_cache(self) -> None:
        """Have the next job begin without the results of earlier ones."""
        with self._lock:
            self._forget_cache = True

    def is_cache_to_be_forgotten(self) -> bool:
        """Return whether somebody asked for it since the last call."""
        with self._lock:
            asked, self._forget_cache = self._forget_cache, False
            return asked
