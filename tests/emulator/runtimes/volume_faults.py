"""Delays, stalls and errors of a network volume, as its behaviour and the injected faults say."""

from __future__ import annotations

import errno
import os
import random
import threading
import time

from tests.emulator.runtimes.volume_behaviour import Home, Orders

_LOOK_SECONDS = 0.05


class VolumeFaults:
    """Called at the begin of every operation of a volume's server; raises OSError where it is to fail."""

    def __init__(self, home: Home) -> None:
        self._behaviour = home.behaviour()
        self._orders = home.orders()
        self._lock = threading.Lock()
        self._heard = Orders()
        self._failing = 0
        self._random = random.Random()  # noqa: S311 - a fault is to come by chance, not to be secret

    @property
    def quota_bytes(self) -> int:
        """What fits on the volume now; 0: no bound."""
        with self._lock:
            return self._behaviour.read().quota_bytes

    @property
    def ignores_modes(self) -> bool:
        """Say whether modes are shown fixed."""
        with self._lock:
            return self._behaviour.read().modes == "ignored"

    def call(self) -> None:
        """Wait while the volume stalls."""
        while self._order().stalled_until > time.time():
            time.sleep(_LOOK_SECONDS)

    def open(self) -> None:
        """Take the time that opening a file takes."""
        self.call()
        with self._lock:
            seconds = self._behaviour.read().open_ms / 1000
        if seconds:
            time.sleep(seconds)

    def data(self) -> None:
        """Before bytes are read, written or synced: stall or fail at the rates that are set."""
        self.call()
        with self._lock:
            behaviour = self._behaviour.read()
            stalls = self._random.random() < behaviour.stall_rate
            fails = self._random.random() < behaviour.eio_rate
        if stalls:
            time.sleep(behaviour.stall_seconds)
        if fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def write(self) -> None:
        """Before bytes are written: fail also where an order says so."""
        self.data()
        error = self._order().error
        with self._lock:
            fails = self._failing > 0
            self._failing -= fails
        if fails:
            code = getattr(errno, error)
            raise OSError(code, os.strerror(code))

    def _order(self) -> Orders:
        with self._lock:
            orders = self._orders.read()
            if orders != self._heard:
                self._heard, self._failing = orders, orders.failing_writes
            return orders
