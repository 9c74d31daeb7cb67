"""Heartbeats for other pods on the volume, and checks whether one of them has taken over or requests it.

Heartbeats start with the epoch: rebuilding the database from a large log takes longer than another pod waits for one.
"""

from __future__ import annotations

import logging
from threading import Event, Thread
from time import monotonic

from provisioning.gateway.core.database.log.epochs import Epoch
from provisioning.gateway.core.database.log.health import LogHealth

LOOK_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Heartbeat:
    """A thread that writes heartbeats; when the volume stalls, it stalls too and no heartbeat is written."""

    def __init__(self, epoch: Epoch, health: LogHealth, pod_id: str, silence_seconds: float) -> None:
        self.is_handover_requested = False
        """Whether another gateway has requested a handover."""
        self._epoch = epoch
        self._health = health
        self._pod_id = pod_id
        self._silence_seconds = silence_seconds
        self._ticked_at = float("inf")
        """When the event loop last ran; infinite until the gateway serves."""
        self._beaten_at = float("-inf")
        self._ending = Event()
        self._thread = Thread(target=self._run, name="log watch", daemon=True)

    def start(self) -> None:
        """Start; until the first tick, while the gateway starts, heartbeats do not depend on the event loop."""
        self._thread.start()

    def tick(self) -> None:
        """Record that the event loop runs: without recent ticks no heartbeat is written."""
        self._ticked_at = monotonic()

    def end(self) -> None:
        """Stop the thread; one that is blocked by the volume is left behind."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(LOOK_SECONDS)

    def _run(self) -> None:
        look = min(LOOK_SECONDS, self._silence_seconds / 10)
        while not self._ending.wait(look):
            try:
                self._look()
            except OSError as error:
                _log.warning("the folder of the log cannot be read: %s", error.strerror)

    def _look(self) -> None:
        if self._health.superseded or self._epoch.is_superseded():
            self._health.superseded = True
            return
        self.is_handover_requested = self.is_handover_requested or self._epoch.is_handover_requested
        now = monotonic()
        if now - self._beaten_at >= self._silence_seconds / 10 and now - self._ticked_at < self._silence_seconds / 2:
            self._epoch.beat(self._pod_id)
            self._beaten_at = now
